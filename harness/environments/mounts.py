"""On which file system a folder lies, whether other machines see it too, and what that means for file locks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mounts")

Options = frozenset[str]


@dataclass(frozen=True)
class Mount:
    """A file system that is mounted."""

    point: Path
    kind: str
    """Such as ext4 or nfs4."""
    options: Options

    @property
    def shared(self) -> bool:
        """Whether it is of a kind that other machines mount too."""
        return self.kind.removeprefix("fuse.") in _LOCKS


def of(path: Path, table: Path = TABLE) -> Mount | None:
    """That of a path, which may have yet to be made; None where nobody tells, as on other systems than Linux."""
    place = path.resolve()
    try:
        lines = table.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    found = [mount for line in lines if (mount := _mount(line)) and place.is_relative_to(mount.point)]
    # The last of those with the longest path: a later one hides an earlier one.
    return max(reversed(found), key=lambda mount: len(mount.point.parts), default=None)


def _mount(line: str) -> Mount | None:
    parts = line.split(" ")
    if len(parts) < 4:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), parts[1])
    return Mount(Path(point), parts[2], frozenset(parts[3].split(",")))


BETWEEN = "file locks hold between machines"
HERE = "file locks hold on one machine alone, so that two of them may build one environment or write one folder at once"
NONE = "it has no file locks, which keep two processes apart"
UNTOLD = "whether file locks hold between machines its administrators know"


def _nfs(options: Options) -> str:
    local = options & {"nolock", "local_lock=all", "local_lock=flock"}
    return HERE if local else BETWEEN


def _lustre(options: Options) -> str:
    return BETWEEN if "flock" in options else HERE if "localflock" in options else NONE


def _untold(options: Options) -> str:
    return UNTOLD


_LOCKS: Mapping[str, Callable[[Options], str]] = {
    "nfs": _nfs,
    "nfs4": _nfs,
    "lustre": _lustre,
    **dict.fromkeys(
        (
            "gpfs", "beegfs", "beegfs_nodev", "ceph", "glusterfs", "cifs", "smb3", "afs", "panfs", "wekafs",
            "orangefs", "pvfs2", "sshfs", "9p", "virtiofs", "dvs",
        ),
        _untold,
    ),
}  # fmt: skip
"""What file locks (`flock`) do, by kind and the options that it is mounted with: nfs(5), and mount.lustre(8)."""


def locks(mount: Mount) -> str:
    """What file locks do on a shared one."""
    return _LOCKS[mount.kind.removeprefix("fuse.")](mount.options)
