"""What commands print: nothing hides in it, whoever gave the text, and nothing else prints."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.commands import output
from tests.harmless import EVIL, hidden, hidden_at_a_terminal
from tests.reports.made import HOSTILE

ROOT = Path(output.__file__).parents[2]


def drawn(*shown: object, width: int = 40, terminal: bool = False) -> str:
    into = StringIO()
    console = output.console(file=into, width=width, force_terminal=terminal, color_system="truecolor")
    for each in shown:
        console.print(each)
        console.print(each, soft_wrap=True)
    return into.getvalue()


@given(HOSTILE | st.just(EVIL), st.integers(5, 60), st.booleans())
def test_whatever_is_drawn_is_printable(text: str, width: int, terminal: bool) -> None:
    table = Table(text, "b")
    table.add_row("a", text)
    table.add_row(Text(text, "red"), Text.assemble((text, "bold"), " ", text))
    told = drawn(text, Text(text), Padding(Text(text), (0, 0, 0, 2)), table, width=width, terminal=terminal)
    assert not hidden_at_a_terminal(told)


def test_a_text_is_no_markup() -> None:
    assert drawn("[red]x[/] [link=https://x.org]y[/link] :tada:", width=80).startswith("[red]x[/] [link=")
    assert drawn(escape("[red]"), width=80).startswith("\\[red]")


def test_colours_of_our_own_stay() -> None:
    assert drawn(Text("x", "red"), terminal=True).startswith("\x1b[31mx\x1b[0m")


def test_lines_on_both_streams(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(EVIL)
    output.errors(EVIL)
    output.warn(EVIL)
    told = capsys.readouterr()
    assert not hidden(told.out)
    assert not hidden(told.err)
    assert told.err.splitlines()[-1].startswith("lockstep: \\x1b]52;")


def test_json_that_is_printed_is_the_same_data(capsys: pytest.CaptureFixture[str]) -> None:
    output.json('{"a": "\u202e\x9b"}')
    assert capsys.readouterr().out == '{"a": "\\u202e\\u009b"}\n'


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


PRINTING = {"print", "typer.echo", "typer.secho", "click.echo", "Console", "rich.print", "sys.stdout.write"}
ELSEWHERE = {
    "harness/__main__.py": "one line of ours, where the command line is not there yet",
    "harness/bench/metric.py": "a tool of its own, for who works on Lockstep",
    "harness/environments/interpreter.py": "a text that another interpreter runs",
    "harness/gpucheck/__main__.py": "a tool of its own, where no typer may be",
    "harness/gpucheck/start.py": "run by an interpreter that has nothing installed",
    "harness/gpucheck/wheels.py": "a tool of its own, for who takes Lockstep to a machine without a network",
    "harness/matrices/__main__.py": "a tool of its own, for who works on Lockstep",
    "harness/trial/fsdp2.py": "a training, which is run to be recorded",
    "harness/validation/known/gathering.py": "a tool of its own, for who works on Lockstep",
    "reports/markdown.py": "draws into a page, line by line",
}


def test_nothing_else_prints() -> None:
    """Else a command that forgets would let escapes through."""
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("harness", "reports", "scenarios")
        for path in (ROOT / folder).rglob("*.py")
        if PRINTING & set(calls(path))
    }
    assert found - set(ELSEWHERE) == {"harness/commands/output.py"}
