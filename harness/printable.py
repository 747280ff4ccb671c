"""Text that may come from elsewhere, made fit to be shown: nothing in it moves a cursor, hides, or commands anything.

A framework, a package, a patch or a file that somebody sent can hold any text. What is shown of it goes through here.
"""

from __future__ import annotations

import re

MOST = 4000
"""Characters of one text that are shown."""

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
"""What Python takes for printable, and nobody sees: fillers, and selectors of variants but for those of emoji."""

_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\w*\[)")
"""What a CI job's log reads as commands: GitHub's `::error::` where a line begins, and `##[error]`, `##vso[...]` and
`##teamcity[...]` anywhere (github.com/actions/runner, ActionCommand.cs)."""


def printable(text: str) -> str:
    r"""One line of it, with every character that cannot be seen written out, such as `\x1b` or `\u202e`.

    Control characters, changes of the direction of writing, characters without width, lone surrogates; and the sign
    that makes a command of a line. Any white space becomes a space, but for line breaks, which are written out too.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_shown, text))
    return _COMMAND.sub(_uncommanded, text) if ":" in text or "#" in text else text


def line(text: str, most: int = MOST) -> str:
    """The same, all lines joined to one, of at most `most` characters, 2 or more."""
    whole = " ".join(text.split())
    shown = printable(whole[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def block(text: str) -> str:
    """The same line by line; lines end with a line feed alone."""
    return "\n".join(map(printable, text.split("\n")))


def json(document: str) -> str:
    """A JSON document that holds the same data, with what cannot be seen written as JSON's own escapes."""
    if document.isascii():  # JSON has no control character that is not escaped already, but for DEL
        return document.replace("\x7f", "\\u007f")
    return "".join(c if c in "\n\r\t" or _is_seen(c) else _in_json(c) for c in document)


def _is_seen(character: str) -> bool:
    return character.isprintable() and not _INVISIBLE.match(character)


def _shown(character: str) -> str:
    if _is_seen(character):
        return character
    if character.isspace() and character not in "\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "
    return _written(character)


def _written(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _uncommanded(found: re.Match[str]) -> str:
    sign = found.group()[-1]
    return f"{found.group()[:-1]}{_written(sign)}"


def _in_json(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
