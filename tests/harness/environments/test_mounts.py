"""On which file system a folder lies, and what its locks do, by tables of mounts as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environments import mounts

TABLE = r"""/dev/sda1 / ext4 rw,relatime 0 0
server:/home /home nfs4 rw,vers=4.2,local_lock=none 0 0
server:/old /old nfs rw,nolock 0 0
mgs:/fs /lustre lustre rw,flock,lazystatfs 0 0
mgs:/fs /lustre/local lustre rw,localflock 0 0
mgs:/fs /lustre/without lustre rw,lazystatfs 0 0
gpfs0 /gp\040fs gpfs rw 0 0
sshfs /far fuse.sshfs rw 0 0
tmpfs /home/scratch tmpfs rw 0 0
tmpfs /home/scratch xfs rw 0 0
short line
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "mounts").write_text(TABLE)
    return tmp_path / "mounts"


@pytest.mark.parametrize(
    ("path", "kind", "locks"),
    [
        ("/work", "ext4", None),
        ("/home/me/envs", "nfs4", mounts.BETWEEN),
        ("/homes", "ext4", None),
        ("/old/x", "nfs", mounts.HERE),
        ("/lustre/a", "lustre", mounts.BETWEEN),
        ("/lustre/local/a", "lustre", mounts.HERE),
        ("/lustre/without", "lustre", mounts.NONE),
        ("/gp fs/a", "gpfs", mounts.UNTOLD),
        ("/far", "fuse.sshfs", mounts.UNTOLD),
        ("/home/scratch/a", "xfs", None),
    ],
)
def test_the_longest_and_last_mount_counts(table: Path, path: str, kind: str, locks: str | None) -> None:
    found = mounts.of(Path(path), table)
    assert found is not None
    assert found.kind == kind
    assert (mounts.locks(found) if found.shared else None) == locks


def test_where_nobody_tells_there_is_none(tmp_path: Path) -> None:
    assert mounts.of(tmp_path, tmp_path / "missing") is None


def test_this_machine_s_root_is_mounted() -> None:
    found = mounts.of(Path("/"))
    assert found is None or found.point == Path("/")


@given(st.text())
def test_any_table_is_read(text: str) -> None:
    for line in text.splitlines():
        mounts._mount(line)
