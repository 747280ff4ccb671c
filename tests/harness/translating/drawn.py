"""Objectives that are drawn: with every field that does not count in them at its default."""

from __future__ import annotations

from hypothesis import strategies as st

from adapters.contract import Objective
from harness.translating.meaning import Meaning, Sizes, canonical

numbers = st.floats(1e-4, 5.0, allow_nan=False)
shares = st.floats(0.01, 0.49)
often = st.integers(1, 4)

preferences = st.builds(
    Objective,
    method=st.just("dpo"),
    beta=numbers,
    reference=st.sampled_from(["initial", "none"]),
    preference=st.sampled_from(["sigmoid", "sigmoid-mean", "ipo", "ipo-mean"]),
    preference_smoothing=st.just(0.0),
    sft_coefficient=st.just(0.0) | numbers,
) | st.builds(Objective, method=st.just("dpo"), beta=numbers, preference_smoothing=shares)


@st.composite
def meanings(draw: st.DrawFn) -> Meaning:
    """Of rewards, with sizes that fit each other."""
    group, ranks, micro, accumulation = draw(st.integers(1, 8)), draw(often), draw(often), draw(often)
    passes, batches = draw(often), draw(often)
    demonstrations = draw(st.integers(0, group - 1))
    objective = Objective(
        method="grpo",
        beta=draw(st.just(0.0) | numbers),
        group_size=group,
        advantage=draw(st.sampled_from(["group", "group-std", "given"])),
        normaliser=draw(st.sampled_from(["token", "row", "constant"])),
        normaliser_constant=draw(st.just(1) | st.integers(1, 4096)),
        ratio=draw(st.sampled_from(["token", "sequence"])),
        clip_low=draw(st.floats(1e-4, 1.0)),
        clip_high=draw(st.floats(1e-4, 10.0)),
        rollout_steps=batches * passes,
        truncated=draw(st.sampled_from(["trained", "masked"])),
        demonstrations=demonstrations,
        divergence=draw(st.sampled_from(["k1", "k2", "k3"])),
    )
    rows = draw(st.sampled_from([1, group])) * micro * accumulation * ranks
    return Meaning(
        canonical(objective),
        sizes=Sizes(rows, micro, passes, ranks),
        dual_clip=draw(st.none() | st.floats(1.5, 100.0)),
        temperature=draw(st.just(1.0) | numbers),
        entropy=draw(st.just(0.0) | numbers | numbers.map(float.__neg__)),
    )
