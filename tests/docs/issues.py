"""The pages of docs/issues, which are meant to be sent upstream, as data."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

FOLDER = Path(__file__).parents[2] / "docs" / "issues"


@dataclass(frozen=True)
class Page:
    title: str
    versions: str
    """What is said between the title and the first section."""
    sections: list[str]
    """Headings of the second level."""
    script: str
    wrong: list[str]
    """What the script prints on the release that is wrong."""
    right: list[str]
    """The same on a release that is right; empty if there is none."""


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read(name: str) -> Page:
    tokens = MarkdownIt().parse((FOLDER / f"{name}.md").read_text())
    after = list(itertools.pairwise(tokens))
    headings = [(token.tag, text.content) for token, text in after if token.type == "heading_open"]
    blocks = [(token.info, token.content) for token in tokens if token.type == "fence"]
    outputs = [content.splitlines() for info, content in blocks if info == "text"]
    return Page(
        title=next(text for tag, text in headings if tag == "h1"),
        versions=next(text.content for token, text in after if token.type == "paragraph_open"),
        sections=[text for tag, text in headings if tag == "h2"],
        script=next(content for info, content in blocks if info == "python"),
        wrong=outputs[0],
        right=outputs[1] if len(outputs) > 1 else [],
    )
