"""Schedules of any shape, drawn by Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from adapters.contract import Schedule

STEPS = 12


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Such as a run of `STEPS` steps may have."""
    horizon = draw(st.sampled_from((0, STEPS, 20)))
    warmup = draw(st.integers(0, 5))
    by_ratio = draw(st.booleans())
    decay = draw(st.sampled_from(("none", "linear", "cosine", "polynomial", "one-minus-sqrt")))
    told = Schedule(
        decay=decay,
        least=draw(st.sampled_from((0.0, 0.1, 0.5))),
        warmup_steps=0 if by_ratio else warmup,
        warmup_ratio=draw(st.sampled_from((0.0, 0.1, 0.3))) if by_ratio else 0.0,
        warmup_from=draw(st.sampled_from(("first", "zero", "least"))),
        stable_steps=draw(st.integers(0, 4)) if decay != "none" else 0,
        horizon=horizon,
        power=draw(st.sampled_from((1.0, 2.0, 0.5))) if decay == "polynomial" else 1.0,
        least_at=draw(st.sampled_from(("after", "last"))),
    )
    told.check(STEPS)
    return told
