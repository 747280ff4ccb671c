"""Trainings with a mismatch as one page that stands alone, with its pictures."""

from __future__ import annotations

from importlib.resources import files

from markupsafe import Markup

from harness.policy.record import Experiment
from reports import claims
from reports.html.templates import Templates
from reports.policy import pictures, told


def page(found: Experiment) -> str:
    """The page, with its own style in it."""
    style = files("reports.html").joinpath("static", "lockstep.css").read_text(encoding="utf-8")
    drawn = {
        "Final reward against the mismatch": pictures.against_mismatch,
        "Reward over the steps, at the largest mismatch of each kind": pictures.over_steps,
    }
    return Templates().render(
        "policy.html",
        root="",
        style=style,
        found=found,
        told=told,
        claims=claims,
        pictures=[(title, Markup(draw(found))) for title, draw in drawn.items()] if len(found.arms) > 1 else [],
    )
