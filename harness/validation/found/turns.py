"""What ends an answer and what texts begin with, as the recorded tokens have it, against the model's own template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.validation.found.texts import Text
from harness.validation.found.vocabulary import Vocabulary

NEAR = 3
"""Tokens at the end of an answer among which the one that ends it is: a line's end may stand behind it."""


@dataclass(frozen=True)
class Turns:
    """How texts are written."""

    ends: Counter[int | None]
    """Special tokens that end answers and are trained; None for an answer that none ends."""
    untrained: Counter[int]
    """Those that stand behind an answer and are not trained."""
    twice: bool
    """Whether a text begins with two of the token that begins texts."""
    marked: bool
    """Whether anything of the model's own template is around an answer, or there is nothing of it to see."""


def of(texts: Sequence[Text], words: Vocabulary) -> Turns:
    """texts: none of them cut."""
    ends: Counter[int | None] = Counter()
    untrained: Counter[int] = Counter()
    for token, trained in (end for text in texts if text.told for end in _ends(text, words)):
        if trained or token is None:
            ends[token] += 1
        else:
            untrained[token] += 1
    twice = words.bos is not None and any(text.ids[:1] == (words.bos,) for text in texts)
    marked = not words.marks or any(words.marks & set(text.ids) for text in texts)
    return Turns(ends, untrained, twice, marked)


def _ends(text: Text, words: Vocabulary) -> Iterator[tuple[int | None, bool]]:
    """Of each answer the token that ends it, and whether it is trained."""
    for first, last in text.ends():
        inside = [id_ for id_ in text.ids[max(first, last - NEAR + 1) : last + 1] if id_ in words.special]
        behind = [id_ for id_ in text.ids[last + 1 : last + NEAR] if id_ in words.special]
        yield (inside[-1], True) if inside else (behind[0] if behind else None, False)


def told(found: Turns, words: Vocabulary) -> str:
    """In words."""
    said = (
        [f"each ended by {words.names(found.ends)}, which is trained"] if found.ends and None not in found.ends else []
    )
    if None in found.ends:
        some = "" if len(found.ends) == 1 and not found.untrained else "some "
        said.append(f"no token ends {some or 'the '}answers")
    if found.untrained:
        said.append(f"{words.names(found.untrained)} ends them, and is not trained")
    return "; ".join([*said, *_others(found, words)])


def _others(found: Turns, words: Vocabulary) -> Iterator[str]:
    if found.twice:
        yield f"texts begin with {words.name(words.bos)} twice"
    if not found.marked:
        yield f"without {words.names(sorted(words.marks))}, which the model's own template writes around turns"
    if _another(found, words):
        yield f"the model's own template ends an answer with {words.name(words.end)}"


def _another(found: Turns, words: Vocabulary) -> bool:
    """Whether answers end otherwise than the model's own template and its EOS have it."""
    known = {None, words.end, *words.eos}
    return words.end is not None and any(token not in known for token in (*found.ends, *found.untrained))


def odd(found: Turns, words: Vocabulary) -> list[str]:
    """What nobody may have meant, a sentence each."""
    said = []
    seen = {*found.ends, *found.untrained}
    if _another(found, words) and seen:
        now = words.names(sorted(seen - {None}, key=str))
        said.append(f"answers end with {now}, those of the model's own template with {words.name(words.end)}")
    elif None in found.ends:
        said.append("no token ends the answers that are trained, so that the model does not learn to stop")
    if found.untrained and not set(found.ends) - {None}:
        said.append(
            f"{words.names(found.untrained)} stands behind the answers and is not trained: the model does not"
            " learn to stop"
        )
    if found.twice:
        said.append(f"texts begin with {words.name(words.bos)} twice: the template writes it, and the tokenizer too")
    if not found.marked:
        said.append(
            f"the texts have none of {words.names(sorted(words.marks))}, by which the model's own template marks turns"
        )
    return said
