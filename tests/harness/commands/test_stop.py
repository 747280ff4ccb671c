"""Exceptions that are one line for the user, and their exit status."""

from __future__ import annotations

import importlib

import pytest

from harness.commands.stop import STATUS, UNKNOWN, WRONG_USAGE, Stop, in_one_line
from harness.session.plan import BadPlan
from harness.verdicts.verdict import UnreadableVerdict


@pytest.mark.parametrize("name", STATUS)
def test_every_exception_of_the_table_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), kind), Exception)


@pytest.mark.parametrize(
    ("error", "status"),
    [(BadPlan("choose another"), WRONG_USAGE), (UnreadableVerdict("mend it"), UNKNOWN), (Stop("enough", 7), 7)],
    ids=["usage", "unknown", "stopped already"],
)
def test_what_is_known_ends_the_command_by_its_message(error: Exception, status: int) -> None:
    with pytest.raises(Stop) as stopped, in_one_line():
        raise error
    assert (str(stopped.value), stopped.value.status) == (str(error), status)


def test_a_kind_of_what_is_known_is_known() -> None:
    class Worse(BadPlan):
        pass

    with pytest.raises(Stop, match="choose another"), in_one_line():
        raise Worse("choose another")


def test_a_fault_of_the_harness_is_none_of_the_users() -> None:
    with pytest.raises(ZeroDivisionError), in_one_line():
        raise ZeroDivisionError
