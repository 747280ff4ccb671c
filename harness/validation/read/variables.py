"""Variables of a shell script: what it says of them by plain text, patterns, and sums of whole numbers."""

from __future__ import annotations

import ast
import contextlib
import fnmatch
import operator
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.validation.read.bounded import BadConfiguration

NAME = r"[A-Za-z_]\w*"
LONGEST = 20_000
"""Characters of one command."""
UNRESOLVED = "\x00"
"""Around what a variable is called that the script does not say."""

_VARIABLE = re.compile(
    r"\$\(\((?P<sum>[^()]*(?:\([^()]*\)[^()]*)*)\)\)"
    r"|(?P<run>\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`)"
    rf"|\$(?:(?P<plain>{NAME}|[@*#?!$0-9])|\{{(?P<name>{NAME}|[@*0-9])(?P<rest>[^{{}}]*)\}})"
)


class Variables:
    """What a script has said of its variables so far."""

    def __init__(self, given: Mapping[str, str], arguments: Sequence[str]) -> None:
        self._fixed = dict(given)
        self._said: dict[str, str] = {}
        self._arguments: Sequence[str] | None = arguments
        self._lists: set[str] = set()
        """Those whose value is words as they are written."""

    def say(self, name: str, value: str, certain: bool, listed: bool = False) -> None:
        """What is said in a branch holds only where nothing else was said. Who would resolve it gives the variable.

        listed: it is words as they are written, perhaps in quotes.
        """
        known = self._said.get(name)
        unknown = [name for name in value.split(UNRESOLVED)[1::2] if not re.fullmatch(rf"\${NAME}", name)]
        if unknown or (not certain and known is not None and known != value):
            value = f"{UNRESOLVED}${name}{UNRESOLVED}"
        if len(value) > LONGEST:
            raise BadConfiguration(f"the script's variable {name} has more than {LONGEST} characters")
        if name in self._lists and not listed:
            self.forget([name])  # its first word would be another one
            return
        self._said[name] = value
        self._lists |= {name} if listed else set()

    def add(self, name: str, value: str, certain: bool, listed: bool = False) -> None:
        """What is put behind a value, in a branch perhaps."""
        before = self._said.get(name, "")
        if listed:
            before = before if name in self._lists or not before else shlex.quote(before)
            self.say(name, f"{before} {value}", certain, listed=True)
        else:
            self.say(name, before + value, certain)

    def several(self, name: str) -> bool:
        """Whether it is several words where it stands in quotes with an `@`."""
        return name == "@" or self._is_list(name)

    def _is_list(self, name: str) -> bool:
        return name in self._lists and name not in self._fixed

    def forget(self, names: Iterable[str]) -> None:
        """Of what changes in a way that nothing is read of."""
        self._said |= {name: f"{UNRESOLVED}${name}{UNRESOLVED}" for name in names}

    @contextlib.contextmanager
    def in_function(self, inside: bool) -> Iterator[None]:
        """Nobody knows $1 and its like in there."""
        before = self._arguments
        self._arguments = None if inside else before
        yield
        if inside:
            self._arguments = before

    def shift(self, count: int | None) -> None:
        """Take the first arguments away; nobody knows any of them where it is not known how many."""
        if self._arguments is not None:
            self._arguments = None if count is None else self._arguments[count:]

    def within(self, text: str) -> str:
        """The text with their values; what nobody knows stands between marks, and stays as it is."""
        parts = text.split(UNRESOLVED)
        parts[::2] = [_VARIABLE.sub(self._value, part) for part in parts[::2]]
        return UNRESOLVED.join(parts)

    def _value(self, found: re.Match[str]) -> str:
        if found["run"]:
            return "" if found["run"].startswith("`#") else _unresolved(found["run"])
        if found["sum"] is not None:
            return _summed(self.within(re.sub(rf"(?<![\w$])({NAME})", r"$\1", found["sum"])))
        name, rest = found["plain"] or found["name"], found["rest"] or ""
        return _unresolved(found.group()) if (told := self._with(name, rest)) is None else told

    def _with(self, name: str, rest: str) -> str | None:
        """The value of a variable with what stands behind its name; None where nobody knows it."""
        known = self._known(name)
        if self._is_list(name) and re.match(r":?[-=+]", rest):
            return None
        if instead := re.fullmatch(r"(:?)([-=+])(.*)", rest, re.DOTALL):
            there = known is not None and (known != "" or not instead[1])
            if instead[2] == "+":
                return None if known is None else self.within(instead[3]) if there else ""
            if there:
                return known
            told = self.within(instead[3])
            if instead[2] == "=":
                self.say(name, told, certain=True)
            return told
        if known is None or UNRESOLVED in known or rest in ("[@]", "[*]"):
            return known
        if self._is_list(name):
            return _element(known, rest)
        if rest == "":
            return known
        return _cut(known, rest)

    def _known(self, name: str) -> str | None:
        if name in ("@", "*") or name.isdigit():
            if self._arguments is None:
                return None
            if not name.isdigit():
                return shlex.join(self._arguments)
            return self._arguments[int(name) - 1] if 0 < int(name) <= len(self._arguments) else None
        return self._fixed.get(name, self._said.get(name))


def _element(value: str, rest: str) -> str | None:
    """One of a list's words: the first where none is asked for."""
    at = re.fullmatch(r"(?:\[(\d{1,4})\])?", rest)
    try:
        words = shlex.split(value)
    except ValueError:
        return None
    return None if at is None else words[int(at[1] or 0)] if int(at[1] or 0) < len(words) else ""


def _cut(value: str, rest: str) -> str | None:
    """Without what a pattern fits at its begin (`#`) or end (`%`), the longest where the sign stands twice."""
    found = re.fullmatch(r"(##?|%%?)(.{1,100})", rest, re.DOTALL)
    if found is None or len(value) > 1000:
        return None
    sign, pattern = found[1], found[2]
    ends = range(len(value) + 1)
    if sign[0] == "#":
        fits = [value[at:] for at in ends if fnmatch.fnmatchcase(value[:at], pattern)]
    else:
        fits = [value[:at] for at in reversed(ends) if fnmatch.fnmatchcase(value[at:], pattern)]
    return (fits[-1] if len(sign) == 2 else fits[0]) if fits else value


def _unresolved(said: str) -> str:
    words = said.split()
    return f"{UNRESOLVED}{words[0]}{'...)' if len(words) > 1 else ''}{UNRESOLVED}"


def _summed(text: str) -> str:
    """The value of whole numbers that are reckoned with."""
    if UNRESOLVED in text:
        return UNRESOLVED + text.split(UNRESOLVED)[1] + UNRESOLVED
    try:
        return str(_reckoned(ast.parse(text.strip()[:100], mode="eval").body))
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return _unresolved(f"$(({text.strip()[:40]}))")


def _reckoned(node: ast.expr) -> int:
    """Raises ValueError for anything but sums and products of whole numbers."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        return _SIGNS[type(node.op)](_reckoned(node.left), _reckoned(node.right))
    raise ValueError


_SIGNS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}
