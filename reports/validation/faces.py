"""Every face of a validation, by the name of its file."""

from __future__ import annotations

from collections.abc import Mapping

from harness.validation.record import Validation
from reports.html import validation as html
from reports.validation import badge, markdown


def faces(found: Validation) -> Mapping[str, str]:
    return {
        "validation.json": found.model_dump_json(by_alias=True, indent=1) + "\n",
        "validation.md": markdown.page(found),
        "validation.html": html.page(found),
        "badge.svg": badge.svg(found),
    }
