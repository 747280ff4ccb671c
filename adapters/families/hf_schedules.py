"""What transformers calls its learning-rate schedules (`get_scheduler` in optimization.py)."""

from __future__ import annotations

from adapters.contract import Schedule

_NAMES = {
    ("none", False): "constant_with_warmup",
    ("linear", False): "linear",
    ("cosine", False): "cosine",
    ("cosine", True): "cosine_with_min_lr",
}


def from_zero(schedule: Schedule) -> str:
    """One whose warm-up, if it has any, begins at 0. Raises KeyError for a linear one that ends above 0."""
    return _NAMES[schedule.decay, schedule.least > 0.0]
