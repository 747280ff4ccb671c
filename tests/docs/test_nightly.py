"""docs/nightly.md: its workflow, its commands and its units are such that they work when they are copied."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from harness import cli
from harness.nightly.night import STALE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "nightly.md").read_text()
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def workflow() -> dict[str, Any]:
    return dict(yaml.safe_load(blocks("yaml")[0]))


def tickets() -> dict[str, Any]:
    """The job that tells of tickets."""
    _, text = blocks("yaml")
    return dict(yaml.safe_load(text)["tickets"])


def steps() -> list[dict[str, Any]]:
    return list(workflow()["jobs"]["nightly"]["steps"])


def accepted(line: str) -> str:
    """The verb of a command line of Lockstep; fails if its options are not those of the program."""
    program, *words = shlex.split(line, comments=True)
    assert Path(program).name == "lockstep"
    group = typer.main.get_command(cli.app)
    verb = group.commands[words[0]]
    verb.make_context(words[0], words[1:])
    return words[0]


def test_every_command_on_the_page_is_one_that_lockstep_takes() -> None:
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    lockstep ")]
    assert len(lines) >= 6
    assert {accepted(line) for line in lines} == {"nightly"}


def test_the_workflow_runs_what_exists() -> None:
    for of, option in ((steps(), "--summary"), (tickets()["steps"], "--tickets-only")):
        runs = [str(step["run"]) for step in of if "run" in step and not step["run"].startswith("sudo ")]
        made = [line for line in runs if line.startswith("make ")]
        assert made
        assert all(target in TARGETS for line in made for target in line.split()[1:])
        (nightly,) = [line for line in runs if line not in made]
        assert accepted(nightly) == "nightly"
        assert option in nightly


def test_no_token_is_there_while_releases_run() -> None:
    """Nor in the folder that a checkout leaves; the job that has one runs nothing but the ticket command."""
    text, other = blocks("yaml")
    assert "token" not in text.lower().replace("# else the job's token lies in .git/config", "")
    assert "--sandbox" in text
    assert [line for line in other.splitlines() if "GH_TOKEN" in line] == ["        GH_TOKEN: ${{ github.token }}"]
    for step in (*steps(), *tickets()["steps"]):
        if str(step.get("uses", "")).startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_the_job_for_tickets_takes_the_state_of_this_night_and_hands_it_on() -> None:
    of = {str(s["uses"]).partition("@")[0]: s["with"] for s in tickets()["steps"] if "cache" in s.get("uses", "")}
    night = {str(s["uses"]).partition("@")[0]: s["with"] for s in steps() if "cache" in s.get("uses", "")}
    restore, save = of["actions/cache/restore"], of["actions/cache/save"]
    assert restore["key"] == night["actions/cache/save"]["key"]
    assert save["key"].startswith(night["actions/cache/restore"]["restore-keys"])
    assert len({with_["path"] for with_ in (*of.values(), *night.values())}) == 1, "it is part of what finds a cache"


def test_the_workflow_needs_no_secret_and_keeps_its_state_after_a_red_night() -> None:
    assert "secrets." not in PAGE
    assert workflow()["permissions"] == {"contents": "read"}
    used = {str(step["uses"]).partition("@")[0]: step for step in steps() if "uses" in step}
    for name in ("actions/cache/save", "actions/upload-artifact"):
        assert used[name]["if"] == "always()"
    kept = [used[f"actions/cache/{verb}"]["with"]["path"].split() for verb in ("restore", "save")]
    assert kept == [[".envs", ".lockstep"]] * 2


def test_the_workflow_leaves_time_after_the_night_and_uploads_what_is_hidden() -> None:
    job = workflow()["jobs"]["nightly"]
    (night,) = [step for step in steps() if "lockstep nightly" in step.get("run", "")]
    assert night["timeout-minutes"] + 30 <= job["timeout-minutes"] <= 360, "GitHub ends a job after six hours"
    (upload,) = [step["with"] for step in steps() if "upload-artifact" in step.get("uses", "")]
    assert (upload["include-hidden-files"], upload["if-no-files-found"]) == (True, "error")
    assert timedelta(minutes=job["timeout-minutes"]) + timedelta(days=1) < STALE, "the next one goes on with it"


def test_the_workflow_finds_the_newest_state() -> None:
    """A cache is found by the beginning of its key, and never written twice."""
    used = {str(step["uses"]).partition("@")[0]: step.get("with", {}) for step in steps() if "uses" in step}
    restore, save = used["actions/cache/restore"], used["actions/cache/save"]
    assert save["key"].startswith(restore["restore-keys"])
    assert "github.run_id" in save["key"]


def test_the_cron_line_and_the_units() -> None:
    (cron,) = blocks("crontab")
    fields = cron.split(None, 5)
    assert all(re.fullmatch(r"\*|\d+", field) for field in fields[:5])
    folder, command = fields[5].split("&&")
    assert folder.split()[0] == "cd"
    assert accepted(command.partition(">>")[0]) == "nightly"
    service, timer = (configparser.ConfigParser(interpolation=None) for _ in range(2))
    for parser in (service, timer):
        parser.optionxform = str
    for parser, text in zip((service, timer), blocks("ini"), strict=True):
        parser.read_string(text)
    assert accepted(service["Service"]["ExecStart"]) == "nightly"
    assert timer["Timer"]["OnCalendar"]
    # `--ci` is what frees the disk; a plain one keeps whatever an index could give again.
    assert ".venv/bin/uv cache prune --ci" in cron
    assert "/.venv/bin/uv cache prune --ci" in service["Service"]["ExecStopPost"]


GH = """#!{python}
import os, sys
with open(os.environ["GH_LOG"], "a") as log:
    print(*sys.argv[1:3], file=log)
if sys.argv[1:3] == ["issue", "list"]:
    print(os.environ["GH_NUMBER"])
"""


@pytest.mark.parametrize(
    ("action", "number", "calls"),
    [
        ("open", "", ["issue list", "issue create"]),
        ("open", "7", ["issue list", "issue reopen", "issue edit"]),
        ("flaky", "", ["issue list", "issue create"]),
        ("update", "7", ["issue list", "issue edit"]),
        ("close", "7", ["issue list", "issue edit", "issue close"]),
    ],
)
def test_the_script_for_issues(tmp_path: Path, action: str, number: str, calls: list[str]) -> None:
    """With a `gh` that writes down what it is asked."""
    (text,) = blocks("sh")
    script, gh = tmp_path / "ticket.sh", tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    script.write_text(text)
    gh.write_text(GH.format(python=sys.executable))
    script.chmod(0o755)
    gh.chmod(0o755)
    told = {"LOCKSTEP_TICKET_FINGERPRINT": "0123456789ab", "LOCKSTEP_TICKET_TITLE": "deepspeed: it's; $wrong"}
    more = {
        "PATH": f"{gh.parent}{os.pathsep}{os.environ['PATH']}",
        "GH_LOG": str(tmp_path / "log"),
        "GH_NUMBER": number,
    }
    subprocess.run([str(script), action, "ticket.md"], env={**os.environ, **told, **more}, check=True)
    assert (tmp_path / "log").read_text().splitlines() == calls
