"""Tickets on disk, a Markdown page and its data each, and telling them to a command of the user's."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from harness import files, printable
from harness.nightly.tickets import Action, Ticket

FOLDER = "outbox"
LARGEST = 16 * 2**20
"""Bytes of a ticket that are read; it has some thousand."""
PATIENCE = 120.0
"""Seconds that the user's command may take for one ticket."""

Render = Callable[[Ticket], str]


class BadOutbox(Exception):
    """A ticket cannot be read; the message is one line with the remedy."""


class BadCommand(Exception):
    """The command for tickets cannot be used; the message is one line with the remedy."""


def load(home: Path) -> dict[str, Ticket]:
    """All tickets by fingerprint. Raises BadOutbox: a lost one would be opened a second time."""
    if (home / FOLDER).exists() and not (home / FOLDER).is_dir():
        raise BadOutbox(f"{home / FOLDER} is a file, where the folder of tickets should be: move it away")
    return {ticket.fingerprint: ticket for ticket in map(_read, sorted((home / FOLDER).glob("*.json")))}


def _read(path: Path) -> Ticket:
    try:
        ticket = Ticket.model_validate_json(files.read(path, LARGEST))
    except (ValidationError, files.TooLarge, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise BadOutbox(f"the ticket {path} cannot be read ({said}): mend it, or move it away") from None
    if ticket.fingerprint != path.stem:
        raise BadOutbox(f"the ticket {path} is that of {ticket.fingerprint!r}: mend it, or move it away")
    return ticket


def save(tickets: Iterable[Ticket], home: Path, render: Render) -> None:
    """Write tickets, the page first: what has its data is whole. Raises OSError."""
    (home / FOLDER).mkdir(parents=True, exist_ok=True)
    for ticket in tickets:
        files.replace(page(home, ticket), render(ticket))
        _keep(home, ticket)


def page(home: Path, ticket: Ticket) -> Path:
    return home / FOLDER / f"{ticket.fingerprint}.md"


def _keep(home: Path, ticket: Ticket) -> None:
    files.replace(home / FOLDER / f"{ticket.fingerprint}.json", ticket.model_dump_json(indent=1) + "\n")


def command(text: str) -> tuple[str, ...]:
    """The words of a command, which no shell reads. Raises BadCommand."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadCommand(f"--ticket-command {text!r} cannot be read ({error}); quote it as for a shell") from None
    if not words:
        raise BadCommand("--ticket-command is empty; leave it out, and tickets are files alone")
    return tuple(words)


def deliver(tickets: Mapping[str, Ticket], words: tuple[str, ...], home: Path) -> list[str]:
    """Tell the command what it has not heard yet, once each; returns what went wrong, which the next night tries again.

    The command gets the action and the ticket's page as its last two arguments, and the rest in its environment.
    """
    problems = []
    for ticket in tickets.values():
        if ticket.pending is None:
            continue
        failure = _tell(ticket, ticket.pending, words, page(home, ticket).absolute())
        heard = {"pending": None, "failed": False}
        _keep(home, ticket.model_copy(update=heard if failure is None else {"failed": True}))
        if failure is not None:
            told = f"the ticket command failed for {ticket.fingerprint} ({ticket.pending} {ticket.title}): {failure}"
            problems.append(f"{told}; the next night tries again")
    return problems


def untold(tickets: Mapping[str, Ticket]) -> list[str]:
    """What the command failed to take in an earlier night, where it is not given tonight."""
    return [
        f"the ticket command failed for {ticket.fingerprint} ({ticket.pending} {ticket.title}) in an earlier night, and"
        " has not been told since; give --ticket-command again"
        for ticket in tickets.values()
        if ticket.pending and ticket.failed
    ]


def _tell(ticket: Ticket, action: Action, words: tuple[str, ...], path: Path) -> str | None:
    told = {
        "ACTION": action,
        "FILE": str(path),
        "FINGERPRINT": ticket.fingerprint,
        "TITLE": printable.line(ticket.title),
    }
    variables = {**os.environ, **{f"LOCKSTEP_TICKET_{name}": value for name, value in told.items()}}
    try:
        ran = subprocess.run(
            [*words, action, str(path)],
            env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=PATIENCE, check=False, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it was not done after {PATIENCE:.0f} s"
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    last = [line.strip() for line in ran.stderr.splitlines() if line.strip()][-1:]
    return None if ran.returncode == 0 else ": ".join([f"exit status {ran.returncode}", *last])
