from __future__ import annotations

import pytest

from harness.environments.installer import backend_options, explain, missing_version, variables


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("error: failed to write\n  Caused by: No space left on device (os error 28)", "disk is full"),
        ("error: Failed to fetch: `x`\n Caused by: dns error", "index cannot be reached"),
        ("error: x\n  cause: Git operation failed\n  cause: failed to fetch into: db", "try `git fsck`"),
        ("error: x\n cause: Permission denied (os error 13)", "cannot be written"),
        ("  Failed to build `deepspeed==0.1`\n  The build backend returned an error", "does not build from source"),
        ("error: No solution found\n  cause: Because a needs b", "Because a needs b"),
        ("error: something new", "something new"),
        ("", "no output"),
    ],
)
def test_the_reason_is_one_line(output: str, says: str) -> None:
    reason = explain(output, 2)
    assert says in reason
    assert len(reason.splitlines()) == 1


def test_a_killed_installer_is_said_to_be_killed() -> None:
    assert "SIGKILL" in explain("", -9)


def test_missing_versions_are_read_from_the_message() -> None:
    assert missing_version("Because there is no version of toy==9.0 and you") == ("toy", "9.0")
    assert missing_version("Because only toy<2 is available") is None


def test_pips_wheels_are_uvs_wheels() -> None:
    assert variables({"PIP_FIND_LINKS": "/w"})["UV_FIND_LINKS"] == "/w"
    assert variables({"PIP_FIND_LINKS": "/w", "UV_FIND_LINKS": "/u"})["UV_FIND_LINKS"] == "/u"
    assert "VIRTUAL_ENV" not in variables({"VIRTUAL_ENV": "/v"})


def test_uv_picks_torch_only_when_nobody_else_does() -> None:
    assert backend_options({}) == ["--torch-backend=auto"]
    assert backend_options({"PIP_FIND_LINKS": "/w"}) == []
    assert backend_options({"UV_TORCH_BACKEND": "cpu"}) == []
