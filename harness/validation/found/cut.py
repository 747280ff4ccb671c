"""What becomes of rows that are longer than a sequence may be, as the recorded texts have it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from harness.validation.found.texts import Text
from harness.validation.found.vocabulary import Vocabulary
from harness.validation.known.ledger import LENGTH

BEGIN, FEW = 2, 3
"""Tokens at the beginning of a text that tell whether it is there, where they are alike in so many others."""


def longest(configured: int | None) -> int | None:
    """Tokens of a text of a small run at most; None where none is cut."""
    return None if configured is None else min(configured, LENGTH)


def is_cut(text: Text, most: int | None) -> bool:
    """Whether a text has all the tokens that it may."""
    return most is not None and text.length >= most


def told(texts: Sequence[Text], most: int | None, words: Vocabulary) -> str | None:
    """In words; None where no such row was seen, or nothing else."""
    cut, whole = ([text for text in texts if is_cut(text, most) is so] for so in (True, False))
    if not cut or not whole:
        return None
    many = f"{len(cut)} rows have" if len(cut) > 1 else "1 row has"
    said = [f"{many} {most} tokens, the most here{_kept(cut, whole)}", _trained(cut)]
    ended = sum(text.ids[-1] in words.special for text in cut)
    if ended < len(cut):
        said.append(
            "what ends an answer is lost" if not ended else f"what ends an answer is lost in {len(cut) - ended}"
        )
    else:
        said.append(f"the last token is {words.names(dict.fromkeys(text.ids[-1] for text in cut))} all the same")
    return "; ".join(filter(None, said))


def _kept(cut: Sequence[Text], whole: Sequence[Text]) -> str:
    """Whether they begin as others do, as far as those begin alike."""
    columns = zip(*(text.ids for text in whole), strict=False)
    alike = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, itertools.islice(columns, BEGIN)))
    if not alike or len(whole) < FEW:
        return ""
    same = [text.ids[:alike] == whole[0].ids[:alike] for text in cut]
    return ", cut at the end" if all(same) else ", cut at the beginning" if not any(same) else ""


def _trained(cut: Sequence[Text]) -> str:
    counts = sorted(sum(text.trained) for text in cut if text.told)
    if not counts:
        return ""
    if counts[-1] == 0:
        return "none of them is trained"
    some = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    return f"{some} of them trained"
