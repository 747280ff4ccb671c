"""`bisect.json`: what is written is read back, and what cannot be read is told in one line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bisection import record
from harness.bisection.conclude import conclude
from harness.bisection.record import Bisection, UnreadableBisection
from harness.verdicts.verdict import DiagnosisRecord
from tests.harness.bisection import made
from tests.harness.bisection.made import DROPPED, HOLE, RIGHT
from tests.harness.bisection.test_conclude import ASKED

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=8)
points = st.builds(
    record.MeasuredPoint,
    date=st.none() | st.dates().map(str),
    causes=st.lists(texts, max_size=2),
    reason=st.none() | texts,
    seconds=st.none() | finite,
    diagnoses=st.lists(st.builds(DiagnosisRecord, explains=st.floats(0, 1)), max_size=2),
)
bisections = st.builds(
    Bisection,
    schema_=st.just(1),
    measured=st.lists(points, max_size=3),
    uninstallable=st.lists(points, max_size=1),
    inferred=st.lists(st.builds(record.InferredPoint, told=st.none() | texts), max_size=2),
    boundaries=st.lists(st.builds(record.BoundaryRecord, between=st.lists(texts, max_size=2)), max_size=2),
    alone=st.none() | st.booleans(),
    seconds=finite,
)


def whole() -> Bisection:
    return conclude(ASKED, made.searched([RIGHT] * 6 + [HOLE] + [DROPPED] * 6), 61.26)


@settings(max_examples=60, deadline=None)
@given(bisections)
def test_what_is_written_is_read_back(bisection: Bisection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = record.write(bisection, Path(folder) / "new" / "deeper")
        assert path.name == "bisect.json"
        assert record.read(path.parent) == bisection
        assert [p.name for p in path.parent.iterdir()] == ["bisect.json"]


def test_a_real_one_is_read_back_and_has_what_was_promised(tmp_path: Path) -> None:
    bisection = whole()
    record.write(bisection, tmp_path)
    assert record.read(tmp_path) == bisection
    told = json.loads((tmp_path / "bisect.json").read_text())
    assert {"schema", "boundaries", "measured", "inferred", "uninstallable", "seconds"} <= set(told)
    assert {"before", "after", "causes_before", "causes_after"} <= set(told["boundaries"][0])


def test_a_later_one_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    record.write(whole(), tmp_path)
    record.write(whole().model_copy(update={"seconds": 99.0}), tmp_path)
    assert record.read(tmp_path).seconds == 99.0


def good() -> dict[str, object]:
    return json.loads(whole().model_dump_json(by_alias=True))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'{"kind": "rel', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON"),
        (b"{}", "kind"),
        (json.dumps(good() | {"schema": 2}).encode(), "schema"),
        (json.dumps(good() | {"kind": "moons"}).encode(), "kind"),
        (json.dumps(good() | {"measured": [{"label": "1", "verdict": "green"}]}).encode(), "measured.0.verdict"),
    ],
    ids=["empty", "bytes", "cut", "deep", "list", "none of it", "schema", "kind", "verdict"],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, content: bytes, where: str) -> None:
    (tmp_path / "bisect.json").write_bytes(content)
    with pytest.raises(UnreadableBisection) as raised:
        record.read(tmp_path)
    assert str(raised.value) == f"{tmp_path / 'bisect.json'} cannot be read ({where}); bisect again"


def test_what_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableBisection, match=r"bisect\.json cannot be read \(No such file[^\n]*; bisect again\Z"):
        record.read(tmp_path)
