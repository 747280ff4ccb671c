"""Lines of commits, of small repositories that are made here."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bisection import commits
from harness.bisection.commits import Base
from harness.bisection.point import BadLine
from harness.environments import pins
from harness.environments.request import Request

WHO = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "c",
       "GIT_COMMITTER_EMAIL": "c@example.org"}  # fmt: skip
SETTINGS = ("-c", "init.defaultBranch=main", "-c", "commit.gpgSign=false")
LOCK = ("deepspeed==0.18.9", "numpy==2.3.0", "torch==2.13.0")


@dataclass
class Repository:
    """A repository whose commits are a day apart."""

    path: Path
    made: list[str] = field(default_factory=list)
    """Names of commits, in the order of making."""

    def git(self, *arguments: str, **more: str) -> str:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command = [
            "git",
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgSign=false",
            "-C",
            str(self.path),
            *arguments,
        ]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, env={**plain, **WHO, **more})
        return ran.stdout.strip()

    def commit(self, subject: str | bytes, *more: str) -> str:
        day = f"2025-03-{len(self.made) + 1:02d}T12:00:00+0000"
        message = self.path.parent / "message"
        message.write_bytes(subject if isinstance(subject, bytes) else subject.encode())
        arguments = ("commit", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "--file", str(message))
        self.git(*arguments, *more, GIT_AUTHOR_DATE=day, GIT_COMMITTER_DATE=day)
        self.made.append(self.git("rev-parse", "HEAD"))
        return self.made[-1]

    def tag(self, name: str) -> None:
        self.git("tag", name)


def fresh(folder: Path) -> Repository:
    folder.mkdir(parents=True)
    made = Repository(folder)
    made.git("init", "--quiet")
    return made


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Five commits; the second and the fourth are tagged."""
    made = fresh(tmp_path / "clone")
    for number in range(5):
        made.commit(f"change {number}")
        if number in (1, 3):
            made.tag(f"v0.{number}")
    return made


def base(repository: Path, request: Request | None = None) -> Base:
    return Base(request or Request("deepspeed", "0.18.9"), LOCK, repository, repository.parent / "pins")


def labels(repository: Repository, good: str | None = None, bad: str | None = None) -> list[str]:
    return [p.label for p in commits.between(base(repository.path), good, bad).points]


def test_from_one_commit_to_another(repository: Repository) -> None:
    line = commits.between(base(repository.path), repository.made[1], repository.made[3][:8])
    assert line.of == "commits of deepspeed"
    assert [p.label for p in line.points] == [name[:12] for name in repository.made[1:4]]
    assert [p.told for p in line.points] == ["change 1", "change 2", "change 3"]
    assert [p.date for p in line.points] == [dt.date(2025, 3, day) for day in (2, 3, 4)]


def test_from_the_last_tag_to_where_the_clone_is(repository: Repository) -> None:
    assert labels(repository) == [name[:12] for name in repository.made[3:]]
    repository.git("checkout", "--quiet", "v0.3")
    assert labels(repository) == [name[:12] for name in repository.made[1:4]], "what is tagged itself has one before it"
    assert labels(repository, bad="main~2") == [name[:12] for name in repository.made[1:3]]
    assert labels(repository, good=repository.made[0]) == [name[:12] for name in repository.made[:4]]


def test_a_merged_branch_is_one_step(repository: Repository) -> None:
    """A commit within a branch may not even install; the merge is what others got."""
    repository.git("checkout", "--quiet", "-b", "side", "main~1")
    repository.commit("on the side 1")
    repository.commit("on the side 2")
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    merge = repository.git("rev-parse", "HEAD")
    assert labels(repository) == [name[:12] for name in (*repository.made[3:5], merge)]


def test_a_commit_within_a_merged_branch_is_followed_by_what_holds_it(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "side", "main~2")
    good = repository.commit("on the side 1")
    repository.commit("on the side 2")
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    merge = repository.git("rev-parse", "HEAD")
    last = repository.commit("after it")
    assert labels(repository, good) == [name[:12] for name in (good, merge, last)]


def refused(repository: Path, good: str | None = None, bad: str | None = None) -> str:
    with pytest.raises(BadLine) as raised:
        commits.between(base(repository), good, bad)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_no_ancestor_is_refused(repository: Repository) -> None:
    said = refused(repository.path, "main", "v0.1")
    assert said == "main is no ancestor of v0.1, or the same commit; give others with --good and --bad"
    assert "no ancestor of HEAD" in refused(repository.path, repository.made[4])


def test_another_branch_is_no_ancestor(repository: Repository) -> None:
    """Between two branches lies no line, though git would list the commits that only one of them has."""
    repository.git("checkout", "--quiet", "-b", "side", "v0.1")
    repository.commit("on the side")
    assert "side is no ancestor of main" in refused(repository.path, "side", "main")


def test_a_repository_that_has_no_tag_before(repository: Repository) -> None:
    assert refused(repository.path, bad=repository.made[0]) == (
        f"{repository.path} has no tag before {repository.made[0][:12]} to begin with; give a commit with --good"
    )


@pytest.mark.parametrize("revision", ["nonsense", "0" * 40, "--all", "-1", "", "v0.1:", "HEAD^{tree}", "a b", "\n"])
def test_a_commit_that_is_not_there(repository: Repository, revision: str) -> None:
    said = f"{repository.path} has no commit {revision!r}; `git log` there shows what it has"
    with pytest.raises(BadLine) as raised:
        commits.at(base(repository.path), revision)
    assert str(raised.value) == said


def test_a_clone_that_is_none(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "plain").mkdir()
    assert refused(tmp_path / "none") == f"{tmp_path / 'none'} is no folder; give a local clone with --repo"
    said = refused(tmp_path / "plain")
    assert "not a git repository" in said
    assert said.endswith("; give a local clone with --repo")


def test_a_repository_without_commits(tmp_path: Path) -> None:
    made = fresh(tmp_path / "new")
    assert "has no commit 'HEAD'" in refused(made.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_clone_that_git_does_not_trust_says_so(repository: Repository) -> None:
    os.chown(repository.path, 12345, 12345)
    os.chown(repository.path / ".git", 12345, 12345)
    assert "dubious ownership" in refused(repository.path)


def test_without_git(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.path))
    assert refused(repository.path) == "git is not on PATH; install it to bisect over commits"


def test_a_bare_clone_will_do(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "bare"))
    bare = Repository(tmp_path / "bare")
    assert labels(bare) == labels(repository)


def test_another_repository_in_the_environment_does_not_mislead(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git bisect run` sets some of these, and so do hooks."""
    other = fresh(tmp_path / "other")
    other.commit("another one")
    before = labels(repository)
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    assert labels(repository) == before
    assert commits.at(base(repository.path), "HEAD").label == repository.made[-1][:12]


def test_the_users_own_settings_do_not_matter(repository: Repository) -> None:
    for name, value in (("log.showSignature", "true"), ("color.ui", "always"), ("log.date", "relative"),
                        ("format.pretty", "raw"), ("log.decorate", "full"), ("core.pager", "false")):  # fmt: skip
        repository.git("config", name, value)
    assert commits.at(base(repository.path), "HEAD").told == "change 4"


ODD = "a\ttab | a pipe `code` <!-- \x1b[31m \x0b \x0c \x1c \x85 \u2028 é end"


def test_an_odd_subject_stays_one(repository: Repository) -> None:
    repository.commit(ODD)
    repository.commit(b"a return\r in it")
    repository.commit(b"no utf-8: \xff\xfe")
    repository.commit("")
    line = commits.between(base(repository.path), "main~4", "main")
    assert [p.label for p in line.points] == [name[:12] for name in repository.made[-5:]]
    assert [p.told for p in line.points] == ["change 4", ODD, "a return\r in it", "no utf-8: ÿþ", ""]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=2, max_size=4))
def test_whatever_the_subjects_are_the_line_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, subjects: list[str]
) -> None:
    made = fresh(tmp_path_factory.mktemp("odd") / "clone")
    names = [made.commit(subject)[:12] for subject in subjects]
    assert labels(made, made.made[0]) == names


def test_each_commit_is_installed_over_the_same_packages(repository: Repository) -> None:
    of = base(repository.path)
    line = commits.between(of, "v0.1", "v0.3")
    for p, name in zip(line.points, repository.made[1:4], strict=True):
        assert p.request.pins is not None
        assert p.request.pins.is_absolute()
        assert p.request.version is None
        lock = pins.read(p.request.pins)
        assert lock == tuple(sorted(["numpy==2.3.0", "torch==2.13.0",
                                     f"deepspeed @ git+{repository.path.as_uri()}@{name}"]))  # fmt: skip


def test_a_folder_with_a_space_can_be_pinned(tmp_path: Path) -> None:
    made = fresh(tmp_path / "my clone @ home")
    made.commit("one")
    point = commits.at(base(made.path), "HEAD")
    assert point.request.pins is not None
    (own,) = (line for line in pins.read(point.request.pins) if pins.name(line) == "deepspeed")
    assert pins.version(own) is None


def test_the_package_of_a_framework_is_replaced_whatever_the_framework_is_called(repository: Repository) -> None:
    over = Request("ddp", "2.13.0", (("numpy", "2.3.0"),))
    point = commits.at(base(repository.path, over), "HEAD")
    assert point.request.overrides == ()
    assert point.request.pins is not None
    assert [pins.name(line) for line in pins.read(point.request.pins)] == ["deepspeed", "numpy", "torch"]
    assert pins.version(pins.line(pins.read(point.request.pins), "torch") or "") is None
