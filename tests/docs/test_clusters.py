"""The worked examples of a site file are read as they stand in the documentation, and its table has every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.site.site import Index, Site, Slurm, load

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^### ([^\n]+)\n(?:(?!^### ).)*?^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_there_are_three() -> None:
    assert [re.split(r"[ ,:]", name)[1] for name in EXAMPLES] == ["laptop", "Slurm", "Alps-like"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "lockstep.toml").write_text(EXAMPLES[name])
    site = load(tmp_path / "lockstep.toml")
    assert site.envs is not None
    assert (site.slurm is None) == (name == "A laptop")
    if "Alps" in name:
        assert site.slurm is not None
        assert site.slurm.options == ("--environment=lockstep", "--gpus-per-node=4")
        assert site.frameworks["trl"] == "/opt/trl/bin/python"


def test_the_table_has_every_key() -> None:
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    told = set(re.findall(r"`\[?([a-z_]+)\]?`", table.partition("file locks")[0])) | {"srun"}
    assert {*Site.model_fields, *Index.model_fields, *Slurm.model_fields} <= told
