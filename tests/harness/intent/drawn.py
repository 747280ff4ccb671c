"""Intents of any kind, drawn by Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.intent.intent import Drawn, Given, Group, Intent, Mean, Rule, Sum
from harness.intent.schedule import Schedule

POSITIVE = st.floats(1e-9, 1e9)
AGGREGATIONS = st.one_of(
    st.sampled_from(["token", "micro-batch", "rank", "micro-step", "row"]).map(Mean),
    POSITIVE.map(Sum),
    st.lists(st.lists(st.floats(-1e3, 1e3), max_size=4).map(tuple), max_size=3).map(lambda w: Given(tuple(w))),
)
GROUPS = st.builds(
    Group,
    tensors=st.lists(st.sampled_from(["*", "*.weight", "lm_head.weight"]), min_size=1, max_size=3).map(tuple),
    weight_decay=st.floats(0, 1),
    rate=POSITIVE,
)
SCHEDULES = st.one_of(
    st.just(Schedule()),
    st.integers(0, 9).map(lambda n: Schedule("linear-warmup", n)),
    st.lists(POSITIVE, min_size=1, max_size=4).map(lambda f: Schedule("given", factors=tuple(f))),
    st.sampled_from(("linear", "cosine", "polynomial", "one-minus-sqrt")).map(
        lambda decay: Schedule("phases", 1, decay=decay, horizon=4, stable_steps=1, least=0.1, warmup_from="least")
    ),
)


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    steps, ranks, accumulation = (draw(st.integers(1, 3)) for _ in range(3))
    rows = st.lists(st.integers(0, 99), max_size=2).map(tuple)
    windows = tuple(tuple(tuple(draw(rows) for _ in range(ranks)) for _ in range(accumulation)) for _ in range(steps))
    return Intent(
        rule=Rule(
            tuple(draw(st.lists(GROUPS, min_size=1, max_size=2))),
            draw(POSITIVE),
            draw(st.floats(0, 0.99)),
            draw(st.floats(0, 0.9999)),
            draw(st.floats(1e-20, 1e-3)),
        ),
        steps=steps,
        ranks=ranks,
        accumulation=accumulation,
        micro_batch_size=draw(st.integers(1, 9)),
        rows_per_sequence=draw(st.integers(1, 3)),
        windows=draw(st.sampled_from([None, windows])),
        drawn=draw(st.none() | st.builds(Drawn, rows=st.just(9), epoch=st.integers(1, 18), anew=st.booleans())),
        trained=draw(st.sampled_from(["responses", "everything", "no-eos", "no-first", "with-tag", "as-marked"])),
        aggregation=draw(AGGREGATIONS),
        max_grad_norm=draw(st.none() | POSITIVE),
        schedule=draw(SCHEDULES),
        precision=draw(st.sampled_from(["fp32", "bf16", "fp16"])),
        masters=draw(st.sampled_from(["fp32", "none"])),
        loss_scale=draw(st.none() | POSITIVE),
    )
