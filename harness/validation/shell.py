"""A shell script read without running it: which training it would start, its variables put in where it says them."""

from __future__ import annotations

import ast
import operator
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness import printable
from harness.validation import bounded
from harness.validation.bounded import BadConfiguration

_NAME = r"[A-Za-z_]\w*"
_ASSIGNMENT = re.compile(rf"({_NAME})=(.*)", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
_READ = re.compile(rf"\bread\b[^<|;]*?\s({_NAME})\s*<<")
_VARIABLE = re.compile(
    r"\$\(\((?P<sum>[^()]*(?:\([^()]*\)[^()]*)*)\)\)"
    r"|(?P<run>\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`)"
    rf"|\$(?:(?P<plain>{_NAME}|[@*#?!$0-9])|\{{(?P<name>{_NAME}|[@*0-9])(?P<rest>[^{{}}]*)\}})"
)
_OPENS = ("if", "for", "while", "until", "case")
_CLOSES = ("fi", "done", "esac")
_DECLARED = ("export", "declare", "local", "readonly")
_SKIPPED = ("then", "do", "else", "elif", "{", "(", "!", "time", "exec", "nohup", *_DECLARED)
LONGEST = 20_000
"""Characters of one command."""

UNRESOLVED = "\x00"
"""Around what a variable is called that the script does not say."""


class Variables:
    """What a script has said of its variables so far."""

    def __init__(self, given: Mapping[str, str], arguments: Sequence[str]) -> None:
        self._fixed = dict(given)
        self._said: dict[str, str] = {}
        self._arguments = arguments

    def say(self, name: str, value: str, certain: bool) -> None:
        """What is said in a branch holds only where nothing else was said. Who would resolve it gives the variable."""
        known = self._said.get(name)
        unknown = [name for name in value.split(UNRESOLVED)[1::2] if not re.fullmatch(rf"\${_NAME}", name)]
        if unknown or (not certain and known is not None and known != value):
            value = f"{UNRESOLVED}${name}{UNRESOLVED}"
        if len(value) > LONGEST:
            raise BadConfiguration(f"the script's variable {name} has more than {LONGEST} characters")
        self._said[name] = value

    def within(self, text: str) -> str:
        """The text with their values; what nobody knows stands between marks."""
        return _VARIABLE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        if found["run"]:
            return _unresolved(found["run"])
        if found["sum"] is not None:
            return _summed(self.within(re.sub(rf"(?<![\w$])({_NAME})", r"$\1", found["sum"])))
        name, rest = found["plain"] or found["name"], found["rest"] or ""
        known = self._known(name)
        instead = re.fullmatch(r":?-(.*)", rest, re.DOTALL)
        if known is not None and (instead or rest in ("", "[@]", "[*]")):
            return known
        if known is None and instead:
            return self.within(instead[1])
        return _unresolved(found.group())

    def _known(self, name: str) -> str | None:
        if name in ("@", "*"):
            return shlex.join(self._arguments)
        if name.isdigit():
            return self._arguments[int(name) - 1] if 0 < int(name) <= len(self._arguments) else None
        return self._fixed.get(name, self._said.get(name))


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


def commands(path: Path, given: Mapping[str, str], arguments: Sequence[str]) -> list[list[str]]:
    """The words of every command of a script, in their order. Raises BadConfiguration."""
    text = bounded.text(path, str(path), "is no script that is read: it has")
    variables = Variables(given, arguments)
    found: list[list[str]] = []
    for number, line, certain in _lines(text, variables):
        found += _commands(path, number, line, certain, variables)
    return found


def resolved(path: Path, words: Sequence[str]) -> list[str]:
    """Words of which each variable is known. Raises BadConfiguration, which names the others."""
    names = list(dict.fromkeys(name for word in words for name in word.split(UNRESOLVED)[1::2]))
    if names:
        told = printable.line(", ".join(names), 300)
        raise BadConfiguration(
            f"{path} does not say what these are, and nothing of it is run: {told}; put NAME=VALUE before `bash`"
        )
    return list(words)


def _lines(text: str, variables: Variables) -> Iterator[tuple[int, str, bool]]:
    """Number, text, and whether it is in no branch, of each logical line; texts of `read` are taken on the way."""
    depth, held, begun = 0, "", 0
    lines = enumerate(text.splitlines(), start=1)
    for number, raw in lines:
        begun = begun if held else number
        line, quote = _uncommented(held + raw)
        if held := _going_on(line, quote):
            if len(held) > LONGEST:
                raise BadConfiguration(f"line {begun} of the script goes on for more than {LONGEST} characters")
            continue
        if heredoc := _HEREDOC.search(line):
            told = _until(heredoc[1], lines)
            if name := _READ.search(line):
                variables.say(name[1], variables.within(" ".join(told)), depth == 0)
                continue
            line = line[: heredoc.start()]
        firsts = [part.split(maxsplit=1)[0] for part in re.split(r"[;&|]+", line) if part.strip()]
        opened = sum(word in _OPENS for word in firsts)
        yield begun, line, depth <= 0 and not opened
        depth += opened - sum(word in _CLOSES for word in firsts)


def _going_on(line: str, quote: str) -> str:
    """What the next line is put behind; empty where the line is whole."""
    if quote != "'" and line.endswith("\\"):
        return line.removesuffix("\\") + " "
    if quote:
        return line + "\n"
    return line + " " if re.search(rf"^\s*{_NAME}\+?=\([^)]*$", line) else ""


def _until(end: str, lines: Iterator[tuple[int, str]]) -> list[str]:
    """The lines of a text that ends with that word."""
    told = []
    for _, inner in lines:
        if inner.strip() == end:
            break
        told.append(inner.rstrip().removesuffix("\\"))
    return told


def _uncommented(line: str) -> tuple[str, str]:
    """Up to a sign that begins a comment, which stands in no quotes; and the quote that is open at the end."""
    quote, escaped = "", False
    for at, sign in enumerate(line):
        if escaped:
            escaped = False
        elif sign == "\\" and quote != "'":
            escaped = True
        elif sign == quote:
            quote = ""
        elif not quote and sign in "'\"":
            quote = sign
        elif sign == "#" and not quote and (at == 0 or line[at - 1].isspace()):
            return line[:at].rstrip(), ""
    return (line if quote else line.rstrip()), quote


def _commands(path: Path, number: int, line: str, certain: bool, variables: Variables) -> list[list[str]]:
    """The words of each command in a line; an assignment is noted, and is none. Raises BadConfiguration."""
    stripped = re.sub(rf"^\s*(?:(?:{'|'.join(_DECLARED)})\s+(?:-\w+\s+)*)?", "", line)
    found = _ASSIGNMENT.fullmatch(stripped)
    if found and (value := _assigned(found[2], variables)) is not None:
        variables.say(found[1], value, certain)
        return []
    try:
        lexer = shlex.shlex(_expanded(stripped, variables), posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
    except ValueError as error:
        raise BadConfiguration(f"{path}:{number} cannot be read as a command: {error}") from None
    return [command for command in _split(words) if not _noted(command, certain, variables)]


def _split(words: Sequence[str]) -> Iterator[list[str]]:
    """At each sign that ends a command; what is behind a redirection is no word of it."""
    command: list[str] = []
    redirected = False
    for word in [*words, ";"]:
        if re.fullmatch(r"[;&|]+", word):
            while command and command[0] in _SKIPPED:
                command = command[1:]
            if command:
                yield command
            command, redirected = [], False
        elif re.fullmatch(r"[<>&]+", word):
            command = command[:-1] if command and command[-1] in ("1", "2") else command
            redirected = True
        elif redirected:
            redirected = False
        else:
            command.append(word)


def _noted(command: Sequence[str], certain: bool, variables: Variables) -> bool:
    """Whether it is nothing but assignments, which are noted then."""
    found = [_ASSIGNMENT.fullmatch(word) for word in command]
    if not all(found):
        return False
    for match in filter(None, found):
        variables.say(match[1], match[2], certain)
    return True


def _assigned(text: str, variables: Variables) -> str | None:
    """The value of an assignment that is alone in its line; None where a command follows."""
    text = text.strip().rstrip(";").strip()
    listed = re.fullmatch(r"\((.*)\)", text, re.DOTALL)
    if listed:
        return _expanded(listed[1].strip(), variables)
    quoted = re.fullmatch(r"'([^']*)'|\"([^\"]*)\"", text, re.DOTALL)
    if quoted:
        return quoted[1] if quoted[2] is None else variables.within(quoted[2])
    value = variables.within(text)
    return None if len(value.split()) > 1 else value


def _expanded(text: str, variables: Variables) -> str:
    """With values in the place of variables, but for those between single quotes."""
    text = re.sub(rf'"(\$\{{{_NAME}\[@\]\}}|\$@)"', r"\1", text)  # several words, though in quotes
    parts = re.split(r"('[^']*')", text)
    return "".join(part if part.startswith("'") else variables.within(part) for part in parts)
