"""Several ranges of versions in as few as can say what they cover together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from packaging.specifiers import SpecifierSet
from packaging.version import Version

Cut = tuple[Version, bool]
"""A place between versions: just below one (False) or just above it (True). In the order of versions."""

Span = tuple[Cut, Cut | None]
"""What lies between two cuts; None: without an end."""

_LOWEST: Cut = (Version("0.dev0"), False)


def together(ranges: Sequence[str]) -> tuple[str, ...]:
    """PEP 440 ranges that cover the same releases as `ranges` do, those that overlap or touch put into one.

    Where two ranges meet, `>=1` covers what lies just below 1 for one of them: its pre-releases may be in neither of
    them, nor post-releases of 1 in `<=1` and `>1`. Ranges come back as they are if one of them leaves out single
    versions (`!=`).
    """
    spans = [_span(text) for text in ranges]
    if any(span is None for span in spans):
        return tuple(ranges)
    joined: list[Span] = []
    for low, high in sorted((span for span in spans if span is not None), key=lambda span: span[0]):
        if joined and (joined[-1][1] is None or low <= joined[-1][1]):
            joined[-1] = (joined[-1][0], _later(joined[-1][1], high))
        else:
            joined.append((low, high))
    return tuple(map(_text, joined))


def _later(one: Cut | None, other: Cut | None) -> Cut | None:
    return None if one is None or other is None else max(one, other)


def _span(text: str) -> Span | None:
    low, high = _LOWEST, None
    for specifier in SpecifierSet(text):
        read = _READ.get("prefix" if specifier.version.endswith(".*") else specifier.operator)
        if read is None or specifier.operator in ("!=", "==="):
            return None
        bottom, top = read(Version(specifier.version.removesuffix(".*")))
        low = max(low, bottom)
        high = min((cut for cut in (high, top) if cut is not None), default=None)
    return low, high


_READ: Mapping[str, Callable[[Version], Span]] = {
    ">=": lambda v: ((v, False), None),
    ">": lambda v: ((v, True), None),
    "<": lambda v: (_LOWEST, (v, False)),
    "<=": lambda v: (_LOWEST, (v, True)),
    "==": lambda v: ((v, False), (v, True)),
    "~=": lambda v: ((v, False), _behind(v.release[:-1])),
    "prefix": lambda v: ((v, False), _behind(v.release)),
}


def _behind(prefix: Iterable[int]) -> Cut:
    """Where the versions that begin so end."""
    *parts, last = prefix
    return Version(".".join(map(str, [*parts, last + 1]))), False


def _text(span: Span) -> str:
    low, high = span
    if high == (low[0], True):
        return f"=={low[0]}"
    parts = [] if low == _LOWEST else [f"{'>' if low[1] else '>='}{low[0]}"]
    parts += [] if high is None else [f"{'<=' if high[1] else '<'}{high[0]}"]
    return ",".join(parts)
