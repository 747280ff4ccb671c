"""Templates, by Jinja: whatever is put into them is escaped, for it may come from elsewhere."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup

from reports import plain, words
from reports.html import figure

LABELS = ("upstream", "remedy", "received", "expected", "findings")
"""What lines of `reports.said` begin with, and a page sets apart."""


def _shown(value: Any) -> Any:
    """Whatever is put into a template, unless it is made of templates: printable, so that nothing hides in it."""
    return plain.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


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
            quoted=words.quoted, cells=words.cells, release=words.release, told=figure.told
        )
        # Short, and refused where a number is none: no browser would read it.
        self._environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}

    def script(self, data: Any) -> str:
        """JSON that may stand in a script element: nothing in it can end that."""
        return self._environment.from_string("{{ data | tojson }}").render(data=data)

    def render(self, name: str, **given: Any) -> str:
        return self._environment.get_template(name).render(**given)
