"""Liger's fused loss, where a framework has an option for it."""

from __future__ import annotations

import pytest

from tests.frameworks import proofs
from tests.frameworks.command import Run

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]


def test_an_old_release_makes_it_a_mean_of_means_and_as_often_too_long(liger: Run) -> None:
    found = liger.cell(f"{proofs.OLD_LIGER}/liger")
    assert [d.kind for d in found.diagnoses] == ["mean-of-means: micro-batch", "gradient-scale: GA"]
    assert all("liger-kernel 0.4.0" in (d.upstream or "") for d in found.diagnoses)


@pytest.mark.parametrize("release", [f"{name}=={version}" for name, version in proofs.ON_LIGER])
def test_the_newest_is_right_or_refused_by_name(liger: Run, release: str) -> None:
    found = liger.cell(f"{release},{proofs.LIGER}/liger")
    left_out = release.startswith("trl")
    assert found.verdict == ("unsupported" if left_out else "pass")
    assert not left_out or "leaves Liger's fused loss out" in (found.reason or "")
