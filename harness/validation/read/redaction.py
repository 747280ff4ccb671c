"""What nobody shall read in a report: tokens, keys and passwords, by the names they stand under and by their look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness import printable
from harness.environments.variables import is_secret

REDACTED = "(redacted)"

_PLAIN = frozenset({
    "eos_token", "pad_token", "bos_token", "unk_token", "special_tokens", "tokens", "add_tokens", "add_special_tokens",
    "new_special_tokens", "include_num_input_tokens_seen", "include_tokens_per_second", "average_tokens_across_devices",
    "max_tokens", "max_new_tokens", "ignore_pad_token_for_loss", "max_token_len_per_gpu", "balance_dp_token",
    "input_key", "output_key", "prompt_key", "response_key", "messages_key", "tools_key", "label_key",
    "enable_thinking_key",
})  # fmt: skip
"""Names of plain options that look like those of secrets."""
_LOOKS = re.compile(
    r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-|AKIA|ASIA|AIza|ya29\.|npm_|pypi-)[\w.-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|(?i:(?<=bearer )[\w.~+/=-]{8,})"
)
"""Tokens of hubs and clouds, a password in an address, a web token."""
_KEY = re.compile(r"[0-9a-f]{32,64}")
"""What may be a key, and in a revision is a commit."""
_ALSO = frozenset({"use_wandb", "swanlab_key"})
"""Options whose value is a key, though they are not called so."""


def value(key: str, found: Any) -> Any:
    """The value of a key without its secrets, however deep they stand."""
    last = key.replace("-", "_").rpartition(".")[2].lower()
    if isinstance(found, str) and found and _is_secret(last):
        return REDACTED
    if isinstance(found, int | float) and not isinstance(found, bool) and _is_secret(last) and "token" not in last:
        return REDACTED
    if isinstance(found, str) and _KEY.fullmatch(found) and "revision" not in last:
        return REDACTED
    if isinstance(found, Mapping):
        return {text(str(name)): value(str(name), each) for name, each in found.items()}
    if isinstance(found, list):
        return [value(key, each) for each in found]
    return text(found) if isinstance(found, str) else found


def _is_secret(name: str) -> bool:
    return name in _ALSO or (name not in _PLAIN and "tokeniz" not in name and is_secret(name))


def name(key: str) -> str:
    """A key; one that is no name of an option may be a value that slipped."""
    return key if re.fullmatch(r"[a-z][a-z0-9_.-]*", key) else text(key)


def text(found: str) -> str:
    """A text without what looks like a secret."""
    return _LOOKS.sub(REDACTED, found)


def line(found: str, most: int = 600) -> str:
    """The same in one printable line."""
    return printable.line(text(found), most)
