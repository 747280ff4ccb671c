"""Words and selections that several diagnoses share."""

from __future__ import annotations

from collections.abc import Sequence

from harness.verdicts.findings import Finding


def of_codes(findings: Sequence[Finding], *codes: str) -> list[Finding]:
    """Those findings that have one of these codes."""
    return [f for f in findings if f.code in codes]


def at_steps(numbers: Sequence[int | None], total: int) -> str:
    """Where something was found, of `total` steps."""
    known = sorted({n for n in numbers if n is not None})
    if len(known) == total:
        return "in every step" if total > 1 else "in its only step"
    return f"at step{'s' * (len(known) > 1)} {', '.join(map(str, known))}"


def listed(numbers: Sequence[int]) -> str:
    """`1`, `1 and 2`, `1, 2 and 3`."""
    return str(numbers[0]) if len(numbers) == 1 else f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def fraction(factor: float) -> str:
    """`1/4` for 0.25; other numbers in six digits."""
    inverse = 1.0 / factor if factor else 0.0
    if abs(inverse - round(inverse)) < 1e-9 and round(inverse) > 1:
        return f"1/{round(inverse)}"
    return f"{factor:.6g}"
