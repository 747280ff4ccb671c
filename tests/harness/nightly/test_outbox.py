"""Tickets on disk, and a command that is told of them: a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.nightly import outbox
from harness.nightly.outbox import BadCommand, BadOutbox
from harness.nightly.tickets import Seen, Ticket, advance
from tests.harness.nightly.made import DROPPED, cell


def made(*kinds: str) -> dict[str, Ticket]:
    cells = (cell(*(kinds or (DROPPED,))),)
    return advance({}, Seen("20260101-000000", cells, cells))


def render(ticket: Ticket) -> str:
    return f"# {ticket.title}\n"


def script(folder: Path, body: str) -> tuple[str, ...]:
    path = folder / "tell it.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return outbox.command(f"'{path}' --project 'my project'")


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    tickets = made(DROPPED, "gradient-scale: 1/GA")
    outbox.save(tickets.values(), tmp_path, render)
    assert outbox.load(tmp_path) == tickets
    names = {path.name for path in (tmp_path / outbox.FOLDER).iterdir()}
    assert names == {f"{name}.{kind}" for name in tickets for kind in ("json", "md")}


def test_an_empty_folder_has_no_tickets(tmp_path: Path) -> None:
    assert outbox.load(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, "null"])
def test_a_damaged_ticket_is_not_forgotten(tmp_path: Path, text: str) -> None:
    outbox.save(made().values(), tmp_path, render)
    (path,) = (tmp_path / outbox.FOLDER).glob("*.json")
    path.write_text(text)
    with pytest.raises(BadOutbox, match="mend it, or move it away"):
        outbox.load(tmp_path)


def test_a_ticket_of_another_name_is_not_believed(tmp_path: Path) -> None:
    outbox.save(made().values(), tmp_path, render)
    (path,) = (tmp_path / outbox.FOLDER).glob("*.json")
    path.rename(path.with_name("000000000000.json"))
    with pytest.raises(BadOutbox, match="is that of"):
        outbox.load(tmp_path)


def test_the_command_is_told_once_with_the_page_and_no_shell_reads_the_title(tmp_path: Path) -> None:
    words = script(tmp_path, f'printf "%s|" "$@" "$LOCKSTEP_TICKET_TITLE" >> "{tmp_path}/told"')
    evil = "misreported: $(touch pwned); `touch pwned`"
    outbox.save(made(evil).values(), tmp_path, render)
    assert outbox.deliver(outbox.load(tmp_path), words, tmp_path) == []
    (ticket,) = outbox.load(tmp_path).values()
    assert ticket.pending is None
    page = outbox.page(tmp_path, ticket).absolute()
    said = f"--project|my project|open|{page}|deepspeed: {evil}|"
    assert (tmp_path / "told").read_text() == said
    assert outbox.deliver(outbox.load(tmp_path), words, tmp_path) == []
    assert (tmp_path / "told").read_text() == said
    assert not list(tmp_path.glob("**/pwned"))


@pytest.mark.parametrize(
    ("body", "said"), [("echo no network >&2; exit 3", "exit status 3: no network"), ("kill -9 $$", "exit status -9")]
)
def test_a_command_that_fails_is_told_and_tried_again(tmp_path: Path, body: str, said: str) -> None:
    outbox.save(made().values(), tmp_path, render)
    (problem,) = outbox.deliver(outbox.load(tmp_path), script(tmp_path, body), tmp_path)
    assert said in problem
    assert "\n" not in problem
    (ticket,) = outbox.load(tmp_path).values()
    assert (ticket.pending, ticket.failed) == ("open", True)
    (untold,) = outbox.untold(outbox.load(tmp_path))
    assert f"failed for {ticket.fingerprint} (open {ticket.title})" in untold
    assert outbox.deliver(outbox.load(tmp_path), script(tmp_path, "exit 0"), tmp_path) == []
    assert outbox.untold(outbox.load(tmp_path)) == []


def test_a_command_that_is_not_there_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.save(made().values(), tmp_path, render)
    (problem,) = outbox.deliver(outbox.load(tmp_path), ("no-such-program",), tmp_path)
    assert "no-such-program: No such file" in problem
    monkeypatch.setattr(outbox, "PATIENCE", 0.2)
    (problem,) = outbox.deliver(outbox.load(tmp_path), script(tmp_path, "exec sleep 60"), tmp_path)
    assert "not done after" in problem


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("   ", "is empty"), ("gh 'issue", "quote it")])
def test_a_command_that_cannot_be_read_is_one_line(text: str, said: str) -> None:
    with pytest.raises(BadCommand, match=said):
        outbox.command(text)
