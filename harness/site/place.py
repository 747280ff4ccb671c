"""Which site file is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

VARIABLE = "LOCKSTEP_SITE"
NAME = "lockstep.toml"
"""In the folder that Lockstep is started in."""


class BadSite(Exception):
    """A site file cannot be used; the message is one line with the place and what to do."""


def place(given: Path | None) -> Path | None:
    """The one given, that of LOCKSTEP_SITE, or lockstep.toml of this folder; None where there is none.

    The last is read without being asked for, and what it names is run later. So it must be the user's own, or
    root's: in a folder that many can write, as /tmp, somebody else may have left one. Raises BadSite.
    """
    if given is not None:
        return given
    if named := os.environ.get(VARIABLE):
        return Path(named)
    path = Path(NAME)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadSite(f"{NAME} in this folder cannot be read: {error.strerror}") from None
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & stat.S_IWOTH:
        raise BadSite(
            f"{NAME} in this folder is another user's, or anybody can write it; if you trust it, name it with --site"
        )
    return path
