"""What no command expects: one line on stderr and status 3, and with it the traceback where it is asked for."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading

import pytest

from harness import cli
from harness.commands import fault
from harness.commands.bisect import ABORT
from tests.harmless import EVIL, hidden


class Panic(BaseException):
    """As a library in Rust raises it."""


FAULTS = {
    "of Lockstep": (
        ZeroDivisionError("a\nb"),
        "a fault of Lockstep itself: ZeroDivisionError: a b (harness",
    ),
    "without words": (KeyError(), "a fault of Lockstep itself: KeyError (harness"),
    "of a library in Rust": (Panic("index out of bounds"), "a fault of Lockstep itself: Panic: index out of bounds"),
    "an end": (SystemExit(1), "a fault of Lockstep itself: SystemExit: 1 (harness"),
    "a long name": (
        OSError(errno.ENAMETOOLONG, "File name too long", "x"),
        "x cannot be used: File name too long\n",
    ),
    "a disk": (OSError(errno.ENOSPC, "No space left on device"), "a file cannot be used: No space left on device\n"),
    "memory": (MemoryError(), "there is not enough memory for it\n"),
    "depth": (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum recursion depth exceeded ("),
    "signs": (ValueError(EVIL), "ValueError: \\x1b]52;"),
    "half a character": (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), "'\\ud800'"),
}


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, *arguments: str) -> int:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("harness.environments.machine.probes", fail)
    monkeypatch.setattr("harness.bisection.question.Question.request", fail)
    return cli.call(arguments or ["doctor"])


@pytest.mark.parametrize(("error", "said"), FAULTS.values(), ids=FAULTS)
def test_it_is_one_line_and_status_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, said: str
) -> None:
    assert failing(monkeypatch, error) == 3
    told = capsys.readouterr()
    assert told.err.startswith("lockstep: ")
    assert told.err.count("\n") == 1
    assert said in told.err
    assert not hidden(told.err)
    assert told.out == ""


@pytest.mark.parametrize(("error", "said"), FAULTS.values(), ids=FAULTS)
def test_git_bisect_run_takes_it_for_no_bad_commit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, said: str
) -> None:
    line = ("bisect", "deepspeed", "--repo", ".", "--step", "--scenario", "sft-ragged")
    assert failing(monkeypatch, error, *line) == ABORT
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupt_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "lockstep: interrupted\n"


def test_the_traceback_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(fault.VARIABLE, "1")
    assert failing(monkeypatch, ValueError(EVIL)) == 3
    told = capsys.readouterr().err
    assert told.startswith("Traceback (most recent call last):\n")
    assert 'File "' in told
    assert not hidden(told)


HOOKED = """
import sys, threading
from harness.commands import fault
fault.install()

class Last:
    def __del__(self):
        raise ValueError("at the end")

def fail():
    raise ValueError("in here")

{}
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("t = threading.Thread(target=fail, name='judge'); t.start(); t.join()", "in the thread judge: a fault of"),
        ("last = Last(); del last", "while it ended: a fault of Lockstep itself: ValueError: at the end"),
        ("import atexit; atexit.register(fail)", "in here"),
    ],
    ids=["a thread", "an end", "at exit"],
)
def test_elsewhere_it_is_one_line_too(code: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", HOOKED.format(code)], capture_output=True, text=True, check=False)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_hooks_are_set_by_the_entry_point_alone() -> None:
    """A test runner has hooks of its own."""
    assert threading.excepthook.__module__ != fault.__name__
