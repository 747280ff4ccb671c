"""A site file is read whole or refused in a line that names the key and its line; nothing of it is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments.patch import Patch
from harness.environments.request import Request, parse
from harness.site.place import BadSite
from harness.site.site import Site, load

WHOLE = """
envs = "envs"
scratch = "$SOMEWHERE/tmp"
jobs = 4
timeout = 60
device = "cuda"
ranks = 2
[frameworks]
TRL = "~/python"
verl = "pins.txt"
[index]
url = "https://example.org/simple"
extra = ["https://example.org/more", "file:///wheels"]
find_links = "wheels"
torch_backend = "cu126"
[slurm]
partition = "a,b"
account = "project-17"
gres = "gpu:4"
nodes = 2
time = "1-12:30"
prolog = ["module load cuda"]
[slurm.srun]
container-image = "docker://image:1"
uenv = "a/1:v2"
exclusive = true
overlap = false
ntasks = 4
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOMEWHERE", "/some where")
    monkeypatch.setenv("HOME", "/home/me")
    return tmp_path / "lockstep.toml"


def read(path: Path, text: str) -> Site:
    path.write_text(text)
    return load(path)


def test_everything_that_may_stand_in_it(here: Path) -> None:
    site = read(here, WHOLE)
    assert site.envs == str(here.parent / "envs")
    assert site.scratch == "/some where/tmp"
    assert site.defaults() == {"jobs": 4, "timeout": 60.0, "device": "cuda", "ranks": 2}
    assert site.frameworks == {"trl": "/home/me/python", "verl": str(here.parent / "pins.txt")}
    assert site.index.variables() == {
        "UV_DEFAULT_INDEX": "https://example.org/simple",
        "UV_INDEX": "https://example.org/more file:///wheels",
        "UV_FIND_LINKS": str(here.parent / "wheels"),
        "UV_TORCH_BACKEND": "cu126",
    }
    assert site.slurm is not None
    assert (site.slurm.gres, site.slurm.nodes, site.slurm.prolog) == ("gpu:4", 2, ("module load cuda",))
    assert site.slurm.options == ("--container-image=docker://image:1", "--uenv=a/1:v2", "--exclusive", "--ntasks=4")


def test_an_empty_file_says_nothing(here: Path) -> None:
    site = read(here, "")
    assert (site, site.defaults(), site.index.variables()) == (Site(), {}, {})


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("jobs = 0", 1, "jobs: "),
        ("\njobs = 99999", 2, "jobs: "),
        ("jobs = '4'", 1, "jobs: "),
        ("timeout = nan", 1, "timeout: "),
        ("device = 'tpu'", 1, "'cpu' or 'cuda'"),
        ("ranks = 1.5", 1, "ranks: "),
        ("job = 3", 1, "job: "),
        ("[slurm]\n\nnode = 2", 3, "slurm.node: "),
        ("[slurm]\ntime = 'soon'", 2, "slurm.time: "),
        ("[slurm]\npartition = 'a; rm -r'", 2, "plain word"),
        ("[slurm]\naccount = '--uid=0'", 2, "plain word"),
        ('[slurm]\nprolog = [\n"a",\n"b\\n"]', 2, "slurm.prolog.1"),
        ('[slurm]\nprolog = ["a\\u202e"]', 2, "cannot be seen"),
        ("[slurm.srun]\nnice = true\n--uenv = 'x'", 3, "slurm.srun.--uenv"),
        ("[slurm.srun]\nuenv = 1.5", 2, "slurm.srun.uenv"),
        ("[frameworks]\ntrx = '/x'", 1, "did you mean 'trl'"),
        ("envs = ''", 1, "is empty"),
        ("scratch = '$NOT_SET/x'", 1, "the variable $NOT_SET is not set"),
        ("scratch = '~nobody-at-all/x'", 1, "home of a user"),
        ("[index]\nurl = 'index.example.org/simple'", 2, "is no address"),
        ("[index]\nurl = 'https://me:secret@example.org/simple'", 2, "credentials belong"),
    ],
)
def test_what_is_wrong_is_one_line_with_key_and_line(here: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(BadSite) as told:
        read(here, text)
    assert str(told.value).startswith(f"{here}:{line}: ")
    assert said in str(told.value)
    assert "secret" not in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["jobs = ", "jobs = 1\njobs = 2", "[slurm", "a = [" + "[" * 5000])
def test_what_is_no_toml_is_one_line(here: Path, text: str) -> None:
    with pytest.raises(BadSite, match="cannot be read") as told:
        read(here, text)
    assert len(str(told.value).splitlines()) == 1


def test_an_interpreter_is_for_a_framework_without_a_release(here: Path) -> None:
    site = read(here, "[frameworks]\ntrl = '/x/python'\nverl = '/x/pins.txt'")
    assert site.own(parse("trl")) == Request("trl", python=Path("/x/python"))
    assert site.own(parse("verl")) == Request("verl", pins=Path("/x/pins.txt"))
    for text in ("trl==1.16.0", "trl@/other/python", "trl@other.txt", "torch"):
        assert site.own(parse(text)) == parse(text)
    patch = Patch("fix.py", Path("/fix.py"), "a fix", b"")
    assert site.own(Request("trl", patches=(patch,))) == Request("trl", python=Path("/x/python"), patches=(patch,))
