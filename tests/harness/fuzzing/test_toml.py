"""Text that is read back as what it was written of."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.fuzzing import toml

NAMES = st.text("abcdefgh_", min_size=1, max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.integers(-(2**40), 2**40) | st.booleans() | FLOATS | st.text("aé\"'\\\n#=[]", max_size=8)
INLINE = st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=3), max_size=3)


@given(
    st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(NAMES, VALUES | INLINE, max_size=3))
)
def test_it_is_read_back(content: dict[str, Any]) -> None:
    assert tomllib.loads(toml.text(content, "about it\n\nin lines")) == content
