"""A mismatch as one page that stands alone."""

from __future__ import annotations

from importlib.resources import files

from harness.mismatch.record import Mismatch
from reports.html.templates import Templates
from reports.mismatch import told


def page(found: Mismatch) -> str:
    """The page, with its own style in it."""
    style = files("reports.html").joinpath("static", "lockstep.css").read_text(encoding="utf-8")
    return Templates().render("mismatch.html", root="", style=style, found=found, told=told, tables=told.tables(found))
