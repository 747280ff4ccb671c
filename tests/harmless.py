"""What no face of Lockstep may hold, by rules that do not ask the code under test."""

from __future__ import annotations

import re
import unicodedata

from markdown_it import MarkdownIt

SEQUENCE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[8m"
"""For the clipboard, the screen, and to hide what follows."""
EVIL = (
    f"{SEQUENCE}red\u202eevil\u2066x\u2069\u200bzero\x9b2J\x85\u2028y\rz @octocat,@org/team #123 owner/repo#7 !9 GH-5"
    " https://evil.example/x www.evil.example me@evil.example ftp://evil.example <b>bold</b> [a](http://evil.example)"
    " ```` ` | ##[error]w ##vso[task.x]\n::error title=x::y\n  ::set-output name=a::b\n/close\n# heading\n- item"
)
"""Everything at once that a terminal, a page, a ticket or a job's log would act on."""

_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810)}
_INVISIBLE |= {*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)}
_HIDDEN_KINDS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_RUNNER = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NAMED = re.compile(r"(?<![A-Za-z0-9])@[A-Za-z0-9]|[#!]\d|GH-\d|://|www\.|[\w.]@[\w-]+\.\w", re.IGNORECASE)


def hidden(text: str) -> list[str]:
    """What in a text would do something without being seen, and what a CI job's log would take for a command."""
    signs = [
        f"U+{ord(sign):04X}"
        for sign in text
        if (unicodedata.category(sign) in _HIDDEN_KINDS and sign != "\n") or ord(sign) in _INVISIBLE
    ]
    return [*signs, *(found.group() for found in _RUNNER.finditer(text))]


def hidden_at_a_terminal(text: str) -> list[str]:
    """The same where colours are Lockstep's own."""
    return hidden(_COLOUR.sub("", text))


def live(markdown: str) -> list[str]:
    """What in a page GitHub or GitLab would link, call or act on, but for links of the page's own that are `https:`."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    found: list[str] = []
    for block in reader.parse(markdown):
        shown, depth = "", 0
        for token in block.children or []:
            depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
            if token.type == "link_open" and not str(token.attrs["href"]).startswith("https://"):
                found.append(str(token.attrs["href"]))
            # Code is not looked into, and ends a word.
            shown += token.content if token.type in ("text", "text_special") and not depth else "\0"
        found += ["html"] if block.type == "html_block" else []
        found += [match.group() for match in _NAMED.finditer(shown)]
        found += ["html" for token in block.children or [] if token.type == "html_inline"]
    return [*found, *re.findall(r"^/\w+", _outside_fences(markdown), re.MULTILINE)]


def _outside_fences(markdown: str) -> str:
    return re.sub(r"^(`{3,}).*?^\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
