"""File names of pages, from names that mean harm."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from reports.html import addresses
from tests.reports.made import HOSTILE


def test_a_name_is_still_to_be_read() -> None:
    assert addresses.slugs(["deepspeed==0.18.9/sft-ragged@3"]) == ["deepspeed-0.18.9-sft-ragged-seed-3"]


@given(st.lists(HOSTILE | st.sampled_from(["a", "A", "a-2", "../a", "..", "", "a" * 300, "con"])))
def test_no_two_pages_share_a_file_and_none_leaves_its_folder(names: list[str]) -> None:
    slugs = addresses.slugs(names)
    assert len({slug.lower() for slug in slugs}) == len(names)
    for slug in slugs:
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", slug)
        assert len(slug) <= addresses.LONGEST + 8


@given(st.text(alphabet="ab #?%&\"'<>é", min_size=1, max_size=20))
def test_a_link_leads_to_its_file(name: str) -> None:
    link = addresses.link(Path("/run/cells") / name, Path("/run/html/cells"))
    assert not set(link) & set(" #?\"'<>")
    assert unquote(link) == f"../../cells/{name}"


def test_links_out_of_a_trace_are_left_out(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (trace / "link.json").symlink_to(tmp_path / "secret")
    (trace / "folder").symlink_to(tmp_path)
    names = {path.name for path in addresses.files(trace)}
    assert "header.json" in names
    assert not names & {"link.json", "secret"}
