"""A shell script read without running it: which training it would start, its variables put in where it says them."""

from __future__ import annotations

import bisect
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from harness import printable
from harness.validation.read import bounded
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.noting import SHELLS
from harness.validation.read.variables import LONGEST, NAME, UNRESOLVED, Variables

_OPENS = ("if", "for", "while", "until", "case")
_CLOSES = ("fi", "done", "esac")
_DECLARED = ("export", "declare", "local", "readonly")
_SKIPPED = ("then", "do", "else", "elif", "{", "!", "time", "exec", "eval", "nohup", *_DECLARED)
_TESTS = ("[", "[[", "((", "test", "grep", "command", "which", "type", "!")

_DECLARATION = rf"\s*(?:(?:{'|'.join(_DECLARED)})\s+(?:-\w+\s+)*)?"
_ASSIGNMENT = re.compile(rf"({NAME})(\+?)=(.*)", re.DOTALL)
_LIST_OPENED = re.compile(rf"{_DECLARATION}{NAME}\+?=\([^)]*")
_HEREDOC = re.compile(r"(?<!<)<<-?(?!<)\s*(\\?['\"]?)([A-Za-z_]\w*)['\"]?")
_READ = re.compile(rf"\bread\b[^<|;]{{0,200}}?\s({NAME})\s*<<")
_SUMS = re.compile(r"\(\([^)]{0,200}\)\)")
_ANSI = re.compile(r"\$'((?:[^'\\]|\\.)*)'")
_FUNCTION = re.compile(r"(\s*)(?:function\s+[\w-]+\s*(?:\(\s*\))?|[\w-]+\s*\(\s*\))\s*(\{.*)?", re.DOTALL)
_FOR = re.compile(rf"\s*(?:for|select)\s+({NAME})(?:\s+in\s+(.*))?", re.DOTALL)
_WORDS = re.compile(
    r"(?:[^\s'\"\\(]|\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))+", re.DOTALL
)
"""As they are written."""
_ALL = re.compile(rf'"(\$\{{?({NAME}(?=\[@\])|@)(?:\[@\])?\}}?)"')
"""Several words, though in quotes."""
_CHANGES = re.compile(
    r"\s*(?:while\s+)?(?:IFS=\S*\s+)?(?:(?:read|unset|mapfile|readarray|getopts|let|printf\s+-v)\s|\(\()(.*)", re.DOTALL
)
"""What changes variables in a way that is not read."""
_SOURCED = re.compile(r"\s*(?:source|\.)\s+(\S+)")
_HARMLESS = re.compile(r"activate\W*$|rc\W*$|profile\W*$|conda\.sh\W*$|\bmodul")
"""Files that are sourced and set no option of a training."""
DEEPEST = 3
"""Scripts in words of scripts."""
MOST_LINES = 1000
"""Of one command."""


@dataclass
class Script:
    """What was read of a script."""

    path: Path
    variables: Variables
    commands: list[list[str]] = field(default_factory=list)
    """The words of every command, in their order."""
    odd: list[str] = field(default_factory=list)
    """What nobody may have meant, a sentence each."""


def read(path: Path, given: Mapping[str, str], arguments: Sequence[str]) -> Script:
    """All commands of a script. Raises BadConfiguration."""
    text = bounded.text(path, str(path), "is no script that is read: it has")
    if UNRESOLVED in text:
        raise BadConfiguration(f"{path} is no script: it has NUL bytes")
    script = Script(path, Variables(given, arguments))
    if "\r\n" in text:
        script.odd.append(f"{path} has the line ends of Windows, which bash takes for parts of words")
    _read(script, text.replace("\r\n", "\n"), DEEPEST)
    return script


def resolved(path: Path, words: Sequence[str]) -> list[str]:
    """Words of which each variable is known. Raises BadConfiguration, which names the others."""
    names = list(dict.fromkeys(name for word in words for name in word.split(UNRESOLVED)[1::2]))
    if names:
        told = printable.line(", ".join(names), 300)
        raise BadConfiguration(
            f"{path} does not say what these are, and nothing of it is run: {told}; put NAME=VALUE before `bash`, or"
            " let --capture run it"
        )
    return list(words)


def _read(script: Script, text: str, depth: int) -> None:
    for number, line, certain, inside in _lines(script, text):
        with script.variables.in_function(inside):
            for piece, sure in _pieces(line):
                _take(script, number, piece, certain and sure, depth)


def _lines(script: Script, text: str) -> Iterator[tuple[int, str, bool, bool]]:
    """Number, text, whether it is in no branch, and whether it is in a function, of each logical line."""
    depth, held, begun, at = 0, "", 0, 0
    end: str | None = None
    lines = text.split("\n")
    ends: dict[str, list[int]] = {}
    for place, told in enumerate(lines):
        ends.setdefault(told.strip(), []).append(place)
    while at < len(lines):
        begun, at = begun if held else at + 1, at + 1
        line, quote = _uncommented(held + lines[at - 1])
        if len(line) > LONGEST or at - begun > MOST_LINES:
            most = f"{LONGEST} characters or {MOST_LINES} lines"
            raise BadConfiguration(f"line {begun} of the script goes on for more than {most}")
        if (held := _going_on(line, quote)) and at < len(lines):
            continue
        if held and not line.endswith("\\"):
            raise BadConfiguration(f"{script.path}:{begun} cannot be read as a command: what it opens is never closed")
        line, at = _without_texts(line.removesuffix("\\"), lines, at, ends, depth <= 0, script.variables)
        function = _FUNCTION.fullmatch(line) if end is None else None
        if function:
            end, line = f"{function[1]}}}", (function[2] or "").removeprefix("{")
        firsts = [part.split(maxsplit=1)[0] for part in re.split(r"[;&|]+", line) if part.strip()]
        opened = sum(word in _OPENS for word in firsts)
        yield begun, line, depth <= 0 and not opened and end is None, end is not None
        depth += opened - sum(word in _CLOSES for word in firsts)
        if end is not None and (line.startswith(end) or (function and line.endswith("}"))):
            end = None


def _without_texts(
    line: str, lines: Sequence[str], at: int, ends: Mapping[str, Sequence[int]], certain: bool, variables: Variables
) -> tuple[str, int]:
    """A line without its here-documents, and where the next one begins; what `read` reads of one is taken.

    ends: where each text is a line of its own.
    """
    name = _READ.search(line)
    for found in list(_HEREDOC.finditer(_SUMS.sub(lambda sums: " " * len(sums[0]), line))):
        places = ends.get(found[2], ())
        if (first := bisect.bisect_left(places, at)) == len(places):
            continue  # it only looks like one
        end = places[first]
        if name:
            told = " ".join(inner.rstrip().removesuffix("\\") for inner in lines[at:end])
            variables.say(name[1], told if found[1] else variables.within(told), certain)
            return "", end + 1
        line, at = line.replace(found[0], " ", 1), end + 1
    return line, at


def _going_on(line: str, quote: str) -> str:
    """What the next line is put behind; empty where the line is whole."""
    if quote != "'" and re.search(r"(?<!\\)(?:\\\\)*\\$", line):
        return line.removesuffix("\\") + " "
    if quote:
        return line + "\n"
    return line + " " if _LIST_OPENED.fullmatch(line) else ""


def _quotes(text: str) -> tuple[list[str], str]:
    """In which quote each sign stands, a backslash for what is escaped; and the quote that is left open."""
    found, quote, escaped = [], "", False
    for sign in text:
        if escaped or (sign == "\\" and quote != "'"):
            found.append("\\" if escaped else quote)
            escaped = not escaped
        elif quote:
            found.append(quote)
            quote = "" if sign == quote else quote
        else:
            quote = sign if sign in "'\"" else ""
            found.append(quote)
    return found, quote


def _uncommented(line: str) -> tuple[str, str]:
    """Up to a sign that begins a comment, which stands in no quotes; and the quote that is open at the end."""
    quotes, left = _quotes(line)
    for at, sign in enumerate(line):
        if sign == "#" and not quotes[at] and (at == 0 or line[at - 1].isspace()):
            return line[:at].rstrip(), ""
    return line, left


def _pieces(line: str) -> Iterator[tuple[str, bool]]:
    """Each command of a line as it stands, without the brackets of a subshell, and whether it is run for sure."""
    begun, depth, opened, sure, blank = 0, 0, 0, True, True
    quotes, _ = _quotes(line)
    for at, sign in enumerate(line):
        two = line[at : at + 2]
        if quotes[at] or at < begun:
            blank = blank and at < begun
            continue
        if sign == "(" and blank and two != "((":
            opened, begun = opened + 1, at + 1
        elif sign == "(" or two == "${":
            depth, blank = depth + 1, False
        elif sign in ")}" and depth:
            depth -= 1
        elif (sign == ")" and opened) or (not depth and (sign == ";" or two in ("&&", "||"))):
            piece, begun, blank = line[begun:at], at + (2 if two in ("&&", "||") else 1), True
            yield piece, sure and not opened
            opened -= sign == ")"
            sure = sign in ";)" or (sure and two == "&&" and not _is_test(piece))
        else:
            blank = blank and sign.isspace()
    yield line[begun:], sure


def _is_test(piece: str) -> bool:
    words = piece.split()
    return bool(words) and (words[0] in _TESTS or words[0].startswith("(("))


def _take(script: Script, number: int, piece: str, certain: bool, depth: int) -> None:
    """One command: an assignment is noted, and is none. Raises BadConfiguration."""
    variables = script.variables
    stripped = re.sub(rf"^{_DECLARATION}", "", piece)
    found = _ASSIGNMENT.fullmatch(stripped)
    if found and (value := _assigned(found[3], variables)) is not None:
        say = variables.add if found[2] else variables.say
        say(found[1], value, certain, found[3].lstrip().startswith("("))
        return
    words = _WORDS.findall(stripped)
    if len(words) > 1 and all(_ASSIGNMENT.fullmatch(word) for word in words):
        for word in words:
            _take(script, number, word, certain, depth)
        return
    _change(script, number, piece, certain)
    try:
        lexer = shlex.shlex(_expanded(stripped, variables), posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split, lexer.commenters = True, ""
        words = [word for word in lexer if word != " "]
    except ValueError as error:
        raise BadConfiguration(f"{script.path}:{number} cannot be read as a command: {error}") from None
    for command in _split(words):
        if _noted(command, certain, variables):
            continue
        if re.match(r"--?[A-Za-z]", command[0]):
            script.odd.append(
                f"{script.path}:{number}: {command[0].partition('=')[0]} begins a command of its own, for the line"
                " before does not go on: no training gets it"
            )
        inner = _inner(command) if depth else None
        if inner is None:
            script.commands.append(command)
        else:
            _read(script, inner, depth - 1)


def _change(script: Script, number: int, piece: str, certain: bool) -> None:
    """What a command does to variables that is no assignment."""
    variables = script.variables
    if found := _FOR.fullmatch(piece):
        values = variables.within(found[2] or "$@").split()
        variables.forget([found[1]])
        if len(values) == 1 and not re.search(rf"[*?\[{{{UNRESOLVED}]", values[0]):
            variables.say(found[1], values[0].strip("\"'"), certain=True)
    elif found := _CHANGES.match(piece):
        variables.forget(re.findall(NAME, found[1]))
    elif found := _SOURCED.match(piece):
        if not _HARMLESS.search(found[1]):
            told = f"{script.path}:{number} sources {found[1]}, which is not read: what it sets is not known"
            script.odd.append(told)
    elif found := re.fullmatch(r"\s*shift(?:\s+([1-9]))?\s*", piece):
        variables.shift(int(found[1] or 1) if certain else None)
    elif re.match(r"\s*set\s+--\s", piece):
        variables.shift(None)


def _inner(command: Sequence[str]) -> str | None:
    """The script that stands in words of a command, as behind `bash -c`."""
    for at, word in enumerate(command[:-2]):
        if PurePath(word).name in SHELLS and re.fullmatch(r"-\w*c", command[at + 1]):
            return command[at + 2]
    for at, word in enumerate(command[:-1]):
        if word == "--wrap" and command[0] == "sbatch":
            return command[at + 1]
    return None


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
        say = variables.add if match[2] else variables.say
        say(match[1], match[3], certain)
    return True


def _assigned(text: str, variables: Variables) -> str | None:
    """The value of an assignment that is alone; None where a command follows."""
    text = text.strip()
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
    text = _ALL.sub(lambda found: found[1] if variables.several(found[2]) else found[0], text)
    text = _ANSI.sub(lambda found: shlex.quote(_unescaped(found[1])), text)
    quotes, _ = _quotes(text)
    parts, begun = [], 0
    for at in range(1, len(text) + 1):
        if at == len(text) or (quotes[at] == "'") != (quotes[begun] == "'"):
            part = text[begun:at]
            parts.append(part if quotes[begun] == "'" else variables.within(part))
            begun = at
    return "".join(parts)


def _unescaped(text: str) -> str:
    """What stands between quotes that a dollar is before."""
    signs = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: signs.get(found[1], found[1]), text)
