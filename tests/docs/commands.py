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
    found = (command for page in PAGES for command in _of(page))
    return list(dict.fromkeys(found))


def _of(page: Path) -> Iterator[Command]:
    name = page.relative_to(ROOT).as_posix()
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        if token.type in ("code_block", "fence"):
            lines = re.sub(r"\\\n\s*", "", token.content).splitlines()
            texts = [(text, True) for line in lines if (text := _command(line))]
        else:
            codes = [child.content for child in token.children or () if child.type == "code_inline"]
            texts = [(text, False) for code in codes if (text := _command(code)) and " " in text]
        for text, shown in texts:
            yield from (Command(name, each, shown) for each in _alternatives(text))


def _command(line: str) -> str | None:
    text = _AFTER.sub("", _BEFORE.sub("", line.strip()))
    return text if text.split(" ")[0] in STARTS else None


def _alternatives(text: str) -> Iterator[str]:
    parts = [word.split("|") if re.fullmatch(r"[\w-]+(\|[\w-]+)+", word) else [word] for word in text.split(" ")]
    return (" ".join(words) for words in itertools.product(*parts))
