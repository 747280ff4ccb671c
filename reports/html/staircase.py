"""A staircase as one page that stands alone, with its pictures."""

from __future__ import annotations

from importlib.resources import files

from markupsafe import Markup

from harness.staircase.record import Staircase
from reports import claims
from reports.html.templates import Templates
from reports.staircase import pictures, told


def page(found: Staircase) -> str:
    """The page, with its own style in it."""
    style = files("reports.html").joinpath("static", "lockstep.css").read_text(encoding="utf-8")
    drawn = (
        ("Logged loss over the steps", pictures.loss(found)),
        ("Gradient norm over the steps", pictures.grad_norm(found)),
        ("Scores", pictures.scores(found)),
    )
    return Templates().render(
        "staircase.html",
        root="",
        style=style,
        found=found,
        told=told,
        claims=claims,
        pictures=[(title, Markup(svg)) for title, svg in drawn],
        smoothed=pictures.SMOOTHED,
    )
