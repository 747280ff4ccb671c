"""A user's own change to a framework: a unified diff, or a Python file whose `apply()` replaces functions."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from adapters import contract
from harness import files
from harness.environments import diff

LARGEST = 1 << 20
"""Bytes that a patch may have."""


class BadPatch(Exception):
    """The file cannot be a patch; the message is one line with the remedy."""


@dataclass(frozen=True)
class Patch:
    """A patch, as it was when it was read."""

    given: str
    """What stood on the command line: a path, or the name of a fix that comes with Lockstep."""
    path: Path
    """Absolute."""
    reason: str
    """What it says of itself, in a line."""
    content: bytes = field(repr=False)

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def name(self) -> str:
        """In a trace."""
        return f"patch-{self.sha256[:12]}"

    @property
    def mark(self) -> str:
        """In the version that a cell stands under."""
        return f"patch.{self.sha256[:8]}"

    @property
    def told(self) -> contract.Patch:
        """As the framework's processes are told of it."""
        return contract.Patch(
            contract.Shim(self.name, self.reason), self.sha256, str(self.path) if self.is_python else None
        )


def variables(patches: Sequence[Patch]) -> dict[str, str]:
    """What tells the framework's processes of them; nothing where there are none."""
    return {contract.PATCHES: contract.dump_patches([patch.told for patch in patches])} if patches else {}


def load(given: str) -> Patch:
    """Read and check a file, or a shipped fix by its name. Raises BadPatch."""
    path = fixes().get(given) or Path(given).absolute()
    content = _read(path)
    if b"\0" in content:
        raise BadPatch(f"{path} is a binary file; --patch takes a unified diff or a Python file")
    reason = _python(path, content) if path.suffix == ".py" else _diff(path, content)
    return Patch(given, path, reason, content)


def fixes() -> dict[str, Path]:
    """The fixes that come with Lockstep, by name."""
    spec = find_spec("adapters")
    assert spec is not None
    assert spec.origin is not None
    found = sorted(Path(spec.origin).with_name("fixes").glob("[!_]*.py"))
    return {file.stem.replace("_", "-"): file for file in found}


def _read(path: Path) -> bytes:
    try:
        return files.read(path, LARGEST)
    except files.TooLarge:
        raise BadPatch(
            f"{path} is larger than {LARGEST >> 20} MiB; --patch takes a unified diff or a Python file"
        ) from None
    except OSError as error:
        hint = f"; fixes that come with Lockstep: {', '.join(fixes())}" if isinstance(error, FileNotFoundError) else ""
        raise BadPatch(f"cannot read the patch {path}: {error.strerror}{hint}") from None


def _python(path: Path, content: bytes) -> str:
    """The first line of its docstring."""
    try:
        tree = ast.parse(content, str(path))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        said = str(error).splitlines() or ["it is nested too deeply"]
        raise BadPatch(f"{path} is no Python file: {said[0]}") from None
    if not any(isinstance(part, ast.FunctionDef) and part.name == "apply" for part in tree.body):
        raise BadPatch(f"{path} has no function apply() at its top level; that is what --patch calls")
    return (ast.get_docstring(tree) or f"{path.name}, which says nothing of itself").splitlines()[0]


def _diff(path: Path, content: bytes) -> str:
    try:
        names = diff.read(content)
    except diff.BadDiff as error:
        raise BadPatch(f"{path} is no unified diff that git can read (a Python file ends in .py): {error}") from None
    return f"the diff {path.name} is applied to the installed files: {', '.join(names)}"
