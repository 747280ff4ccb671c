"""JSON that every reader reads alike."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.traces import strict_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(value=VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert strict_json.loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "b": 2, "a": 1}', "the key 'a' stands there twice"),
        (b'[{"x": {"a": 1, "a": 2}}]', "the key 'a' stands there twice"),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b"[-Infinity]", "-Infinity is no number of JSON"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON: 'utf-8' codec"),
        ('{"a": 1}'.encode("utf-16"), "it is not JSON"),
        (b"\xef\xbb\xbf{}", "it is not JSON"),
        (b"9" * 10_000, "it is not JSON"),
    ],
    ids=["twice", "inside", "nan", "infinity", "deep", "empty", "open", "bytes", "utf-16", "bom", "long number"],
)
def test_what_readers_would_read_each_in_its_own_way_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(strict_json.BadJson) as raised:
        strict_json.loads(content)
    assert said in str(raised.value)
