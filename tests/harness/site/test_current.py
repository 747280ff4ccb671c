"""Going by a site file changes what the process sees, and leaves what the user has set."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.environments import store
from harness.site import current, probes
from harness.site.place import BadSite
from harness.site.site import Site, load

VARIABLES = ("UV_DEFAULT_INDEX", "UV_FIND_LINKS", store.VARIABLE, "TMPDIR")


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    current.use(Site(), None)
    tempfile.tempdir = None


def site(folder: Path, text: str) -> Site:
    (folder / "site.toml").write_text(text)
    return load(folder / "site.toml")


def test_its_values_are_seen_by_whoever_asks(tmp_path: Path) -> None:
    current.use(
        site(tmp_path, "envs = 'e'\nscratch = 's'\n[index]\nurl = 'https://example.org'"), tmp_path / "site.toml"
    )
    assert store.default_root() == tmp_path / "e"
    assert os.environ["UV_DEFAULT_INDEX"] == "https://example.org"
    assert Path(tempfile.gettempdir()) == tmp_path / "s"
    assert current.path() == tmp_path / "site.toml"


def test_what_the_shell_says_wins_but_for_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, "/mine")
    monkeypatch.setenv("UV_FIND_LINKS", "/wheels")
    monkeypatch.setenv("TMPDIR", "/somewhere")
    current.use(site(tmp_path, "envs = 'e'\nscratch = 's'\n[index]\nfind_links = 'w'"), None)
    assert store.default_root() == Path("/mine")
    assert os.environ["UV_FIND_LINKS"] == "/wheels"
    assert os.environ["TMPDIR"] == str(tmp_path / "s")


def test_a_scratch_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSite, match="cannot be made"):
        current.use(site(tmp_path, "scratch = 'file/x'"), None)


def test_doctor_says_all_of_it_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "python").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (tmp_path / "python").chmod(0o755)
    text = "jobs = 3\n[frameworks]\ntorch = 'python'\nddp = 'missing'\n[slurm]\nnodes = 2\n[slurm.srun]\nuenv = 'x'"
    current.use(site(tmp_path, text), tmp_path / "site.toml")
    found = {probe.name: probe for probe in probes.probes()}
    assert found["site file"].says == str(tmp_path / "site.toml")
    assert (found["site: torch"].ok, found["site: ddp"].ok) == (True, False)
    assert (found["site: jobs"].says, found["site: slurm.nodes"].says) == ("3", "2")
    assert found["site: slurm.srun"].says == "uenv = x"
    assert not (tmp_path / "ran").exists()


def test_where_there_is_none_doctor_says_what_would_be_read() -> None:
    (only,) = probes.probes()
    assert only.ok
    assert "LOCKSTEP_SITE" in only.says
