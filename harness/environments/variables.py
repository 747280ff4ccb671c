"""Which of the user's environment variables reach what is run: those on a list, and no secret.

Tokens and keys lie in the environment of whoever runs releases that nobody has reviewed. So nothing is passed on that
is not known to be needed; what a machine needs beside that is named with `--pass-env`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Group = tuple[str, ...]

PLACE: Group = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "LANG", "LANGUAGE", "LC_*")
"""Where programs and the user's files are, and how text is written."""
LIBRARIES: Group = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Where a cluster's modules have their shared libraries."""
COMPILER: Group = (
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
    "LIBRARY_PATH", "PKG_CONFIG_PATH", "CUDAHOSTCXX", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS",
    "TORCH_CUDA_ARCH_LIST",
)  # fmt: skip
"""What frameworks compile at first use, and packages that come as source."""
DEVICES: Group = (
    "CUDA_*", "CUBLAS_*", "CUDNN_*", "NCCL_*", "TORCH_NCCL_*", "GLOO_*", "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF",
)  # fmt: skip
"""Which accelerators there are, and how ranks talk to each other."""
CACHES: Group = ("XDG_CACHE_HOME", "TRITON_CACHE_DIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")
"""Where caches lie, on machines whose home cannot be written."""
INSTALLING: Group = (
    "UV_*", "PIP_FIND_LINKS", "NETRC", "XDG_*_HOME", "XDG_*_DIRS", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy",
    "https_proxy", "all_proxy", "no_proxy", "SOURCE_DATE_EPOCH",
)  # fmt: skip
"""How the package index is reached, its credentials among them (`UV_INDEX_*`, a URL, `NETRC`)."""

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|(?:^|_)(?:API|ACCESS|PRIVATE)?_?KEY(?:_|$)|_PAT$", re.IGNORECASE
)
"""What a name that only a pattern lets through must not look like."""
_INDEX = re.compile(r"UV_INDEX_\w+")


class BadVariable(Exception):
    """A variable cannot be passed on; the message is one line with the remedy."""


def chosen(base: Mapping[str, str], *groups: Group) -> dict[str, str]:
    """The variables of `base` that are on one of the lists; `*` in a list stands for any letters."""
    names = {name for group in groups for name in group if "*" not in name}
    patterns = [re.compile(name.replace("*", r"\w+")) for group in groups for name in group if "*" in name]
    return {k: v for k, v in base.items() if k in names or (_plain(k) and any(p.fullmatch(k) for p in patterns))}


def is_secret(name: str) -> bool:
    """Whether what stands under such a name is to be kept to oneself."""
    return _SECRET.search(name) is not None


def _plain(name: str) -> bool:
    return _INDEX.fullmatch(name) is not None or not is_secret(name)


def named(base: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """The variables that the user names with `--pass-env`. Raises BadVariable for one that there is not."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise BadVariable(f"--pass-env {name!r} is no variable's name; its value is taken from the environment")
        if name not in base:
            raise BadVariable(f"--pass-env {name}: there is no such variable; set it, or leave the option out")
    return {name: base[name] for name in names}
