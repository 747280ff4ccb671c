"""No secret passes, whatever it is called; what is needed does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environments import variables
from harness.environments.variables import BadVariable, chosen, named

GROUPS = (
    variables.PLACE, variables.LIBRARIES, variables.COMPILER, variables.DEVICES, variables.CACHES,
    variables.INSTALLING,
)  # fmt: skip
SECRETS = (
    "GH_TOKEN", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "HF_TOKEN", "WANDB_API_KEY",
    "OPENAI_API_KEY", "NVIDIA_API_KEY", "CUDA_API_KEY", "NCCL_SECRET", "PGPASSWORD", "SSH_AUTH_SOCK",
    "ACTIONS_RUNTIME_TOKEN", "UV_PUBLISH_TOKEN", "UV_PUBLISH_PASSWORD", "PIP_INDEX_URL",
    "GOOGLE_APPLICATION_CREDENTIALS", "KUBECONFIG", "DATABASE_URL", "LC_TOKEN",
)  # fmt: skip


def test_no_secret_passes_any_list() -> None:
    assert chosen(dict.fromkeys(SECRETS, "secret"), *GROUPS) == {}


def test_the_index_gets_its_credentials_and_frameworks_do_not() -> None:
    base = {"UV_INDEX_OURS_PASSWORD": "p", "UV_DEFAULT_INDEX": "https://u:p@index", "HTTPS_PROXY": "http://u:p@proxy"}
    assert chosen(base, variables.INSTALLING) == base
    assert chosen(base, *GROUPS[:-1]) == {}


def test_what_is_needed_passes() -> None:
    base = dict.fromkeys(("PATH", "LC_ALL", "CUDA_VISIBLE_DEVICES", "NCCL_SOCKET_IFNAME", "CXX", "TZ"), "x")
    assert chosen(base, *GROUPS) == base


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ_", max_size=20))
def test_what_is_on_no_list_does_not(name: str) -> None:
    listed = {n for group in GROUPS for n in group}
    passes = bool(chosen({name: "x"}, *GROUPS))
    known = name in listed or any("*" in n and name.startswith(n.partition("*")[0]) for n in listed)
    assert known or not passes


def test_named_ones_pass() -> None:
    assert named({"A_KEY": "1", "B": "2"}, ["A_KEY"]) == {"A_KEY": "1"}


@pytest.mark.parametrize(
    ("name", "says"), [("NOT_SET", "no such variable"), ("A=1", "no variable's name"), ("", "no variable's name")]
)
def test_what_cannot_be_named(name: str, says: str) -> None:
    with pytest.raises(BadVariable, match=says) as caught:
        named({"A": "1"}, [name])
    assert len(str(caught.value).splitlines()) == 1
