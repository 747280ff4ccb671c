"""docs/validate.md: its workflow is such that it works when it is copied."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer.main
import yaml

from harness import cli
from reports.validation.faces import faces
from tests.reports.validation import made

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "validate.md").read_text()


def text() -> str:
    (found,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def steps() -> list[dict[str, Any]]:
    return list(yaml.safe_load(text())["jobs"]["validate"]["steps"])


def given() -> dict[str, Any]:
    """What the options of its command line are, as the program takes them."""
    (line,) = [step["run"] for step in steps() if step.get("run", "").startswith("lockstep ")]
    _, verb, *words = shlex.split(line)
    command = typer.main.get_command(cli.app).commands[verb]
    return dict(command.make_context(verb, words).params)


def test_the_program_takes_its_command_line() -> None:
    told = given()
    assert told["words"] == ["sft.yaml"]
    assert told["strict"]
    assert not told["plan"]
    assert (told["world"], told["rows"], told["versions"]) == (8, 100000, Path("requirements.txt"))


def test_what_it_uploads_is_written() -> None:
    written = {str(given()["out"] / name) for name in faces(made.validation())}
    (upload,) = [step for step in steps() if step.get("uses", "").startswith("actions/upload-artifact@")]
    (shown,) = [step for step in steps() if "GITHUB_STEP_SUMMARY" in step.get("run", "")]
    assert {*upload["with"]["path"].split()} <= written
    assert shlex.split(shown["run"])[1] in written
    assert upload["if"] == shown["if"] == "always()", "a red verdict is what one wants to read of"
    assert upload["with"]["if-no-files-found"] == "error"


def test_it_needs_no_secret_and_keeps_none() -> None:
    assert "secrets." not in PAGE
    assert yaml.safe_load(text())["permissions"] == {"contents": "read"}
    (checkout,) = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["persist-credentials"] is False


def test_every_file_of_a_report_is_on_the_page() -> None:
    assert all(f"| `{name}` |" in PAGE for name in faces(made.validation()))
