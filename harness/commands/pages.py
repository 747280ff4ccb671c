"""A run as pages for a browser, which `lockstep run` and `lockstep nightly` write by themselves."""

from __future__ import annotations

from pathlib import Path

from harness.commands.output import warn
from harness.commands.stop import terminable


def write_pages(out: Path) -> Path | None:
    """The run as pages for a browser; None, and one line that tells why, if they cannot be made."""
    from harness.session.folder import PAGES

    try:
        from reports import html, source  # what draws them need not be there: make gpu-check carries none of it

        with terminable():
            return html.write(source.load(out), out / PAGES)
    except KeyboardInterrupt:
        why = "interrupted"
    except Exception as error:  # noqa: BLE001  the run is measured and told all the same, and its status stays
        why = f"{type(error).__name__}: {error}".splitlines()[0]
    warn(f"no pages for a browser: {why}; `lockstep report {out}` tries again")
    return None
