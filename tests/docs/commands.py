"""The commands that the documentation shows, found in its Markdown."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

STARTS = ("lockstep", ".venv/bin/lockstep", "make")
_BEFORE = re.compile(r"^(?:\$ |- run: |run: |[\d*/ ]+cd \S+ && |ExecStart=\S*/(?=\.venv)|git bisect run )+")
_AFTER = re.compile(r"\s+#.*$|\s+(?:>>|>|\|\||&&)\s.*$|\s+2>&1$")


@dataclass(frozen=True)
class Command:
    """One command, as it stands."""

    page: str
    """From the root of the repository."""
    text: str
    """Without what stands before or after it, such as a comment."""
    shown: bool
    """In a block of its own; else within a sentence, where parts of it may be left out."""

    @property
    def words(self) -> list[str]:
        """With `lockstep` as the first, wherever it is installed."""
        first, *rest = shlex.split(self.text)
        return [Path(first).name, *rest]


def collected() -> list[Command]:
    """Every command of every page, alternatives (`list scenarios|faults`) one by one; each once."""
    texts = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
    return list(dict.fromkeys(command for name, text in texts.items() for command in read(name, text)))


def read(name: str, text: str) -> Iterator[Command]:
    """The commands of one page."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type in ("code_block", "fence"):
            lines = re.sub(r"\\\n\s*", "", token.content).splitlines()
            shown = [(found, True) for line in lines if (found := _command(line))]
        else:
            codes = [child.content for child in token.children or () if child.type == "code_inline"]
            shown = [(found, False) for code in codes if (found := _command(code)) and " " in found]
        for found, own in shown:
            yield from (Command(name, each, own) for each in _alternatives(found))


def _command(line: str) -> str | None:
    text = _AFTER.sub("", _BEFORE.sub("", line.strip()))
    return text if text.split(" ")[0] in STARTS else None


def _alternatives(text: str) -> Iterator[str]:
    parts = [word.split("|") if re.fullmatch(r"[\w-]+(\|[\w-]+)+", word) else [word] for word in text.split(" ")]
    return (" ".join(words) for words in itertools.product(*parts))
