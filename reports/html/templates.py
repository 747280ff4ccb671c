"""Templates, by Jinja: whatever is put into them is escaped, for it may come from elsewhere."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup, escape

from harness import printable
from reports import words
from reports.html import figure
from reports.html.figure import Numbers

LABELS = ("upstream", "remedy", "received", "expected", "findings")
"""What lines of `reports.said` begin with, and a page sets apart."""


def _shown(value: Any) -> Any:
    """Whatever is put into a template, unless it is made of templates: printable, so that nothing hides in it."""
    if isinstance(value, dict | list | tuple):  # of a header that tells more than it should
        value = str(value)
    return printable.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _rows(table: Numbers) -> Markup:
    """The rows of a table of numbers. Escaped all at once: they are most of a page, and this is five times as quick.

    No value holds the tab or the line end between values and rows, for neither is printable.
    """
    text = "\n".join("\t".join(map(printable.printable, row)) for row in table.rows)
    rows = str(escape(text)).replace("\t", "</td><td>").split("\n") if table.rows else []
    if not table.wrong:
        return Markup("\n".join(f"<tr><td>{row}</td></tr>" for row in rows))
    wrong = [
        f'<tr class="wrong"><td>{row}</td><td>wrong</td></tr>' if is_ else f"<tr><td>{row}</td><td></td></tr>"
        for row, is_ in zip(rows, table.wrong, strict=True)
    ]
    return Markup("\n".join(wrong))


def _addresses(text: str) -> Markup:
    """A text of which the addresses are links."""
    shown = printable.printable(text)
    parts, at = [], 0
    for found in words.ADDRESS.finditer(shown):
        address = escape(found.group())
        parts += [
            escape(shown[at : found.start()]),
            Markup('<a href="{0}" rel="noopener noreferrer">{0}</a>').format(address),
        ]
        at = found.end()
    return Markup("").join([*parts, escape(shown[at:])])


class Templates:
    """The report's own templates."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("reports.html"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_shown,
        )
        self._environment.globals.update(WORDS=words.WORDS, SIDES=words.SIDES, LABELS=LABELS)
        self._environment.filters.update(
            quoted=words.quoted,
            cells=words.cells,
            sentence=words.sentence,
            release=words.release,
            told=figure.told,
            rows=_rows,
            addresses=_addresses,
        )
        # Short, and refused where a number is none: no browser would read it.
        self._environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}

    def render(self, name: str, **given: Any) -> str:
        return self._environment.get_template(name).render(**given)
