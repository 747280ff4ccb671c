"""What the recorded steps of small runs were, held against what the configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.intent.intent import Intent
from harness.recordings import held, reader, telling
from harness.recordings.reader import Recording
from harness.recordings.telling import Told
from harness.validation.found import texts
from harness.validation.found.texts import Text
from harness.validation.found.vocabulary import Vocabulary
from harness.validation.small.runs import Run


@dataclass(frozen=True)
class Judged:
    """A run, and what was seen of it."""

    run: Run
    recording: Recording
    intent: Intent
    told: Told
    texts: tuple[Text, ...] = ()
    words: Vocabulary | None = None


def judge(run: Run, folder: Path, packs: bool, words: Vocabulary | None = None) -> Judged:
    """Raises UnreadableTrace, and ValueError where what is wanted cannot be said of this recording."""
    recording = reader.read(folder)
    shapes = {parameter.name: tuple(parameter.shape) for parameter in recording.header.parameters}
    try:
        intent = run.intent(shapes, packs)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    why = held.misfit(intent, recording)
    if why is not None:
        raise ValueError(why)
    return Judged(run, recording, intent, telling.tell(recording, intent), tuple(texts.of(recording)), words)
