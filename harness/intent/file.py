"""An intent as JSON: in a file of its own, or in a trace. Either may come from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adapters import contract
from harness import files
from harness.intent.intent import Intent
from harness.traces import strict_json
from harness.traces.text_files import MAX_JSON, UnreadableTrace, first_fault, one_line, read_json

SCHEMA = 1

_INTENT = TypeAdapter(Intent)


class BadIntent(Exception):
    """An intent that cannot be read, or that is of another run; one line with what to do."""


def dumps(intent: Intent) -> str:
    """The text of a file."""
    return json.dumps({"schema": SCHEMA, **_INTENT.dump_python(intent, mode="json")}, indent=1) + "\n"


def loads(content: bytes) -> Intent:
    """The inverse of `dumps`. Raises ValueError, in one line, for what does not fit."""
    return _parsed(strict_json.loads(content))


def read(path: Path) -> Intent:
    """The intent in a file of the user's. Raises BadIntent."""
    try:
        return loads(files.read(path, MAX_JSON))
    except files.TooLarge:
        raise BadIntent(f"{path} has more than the {MAX_JSON} bytes that are read of an intent") from None
    except OSError as error:
        raise BadIntent(f"{path} cannot be read ({error.strerror or 'no file'}); give --intent a file") from None
    except ValueError as error:
        raise BadIntent(f"{path}: {one_line(error)}; docs/intents.md says what an intent is") from None


def of_trace(folder: Path) -> Intent | None:
    """What a trace, whose checksums are right, says that its steps should have been. Raises UnreadableTrace."""
    if not (folder / contract.INTENT).exists():
        return None
    try:
        return _parsed(read_json(folder, contract.INTENT))
    except ValueError as error:
        raise UnreadableTrace(f"{folder / contract.INTENT}: {one_line(error)}; record it again") from None


def _parsed(data: Any) -> Intent:
    if not isinstance(data, dict):
        raise ValueError("it holds no JSON object")
    schema = data.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(f"it has schema {one_line(repr(schema))}, this release reads {SCHEMA}")
    try:
        return _INTENT.validate_json(json.dumps({k: v for k, v in data.items() if k != "schema"}))
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None
