"""One change to a recorded trace, of any kind that its structure allows, with every checksum made right again."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from adapters.contract import (
    END,
    HEADER,
    Row,
    Scenario,
    batches_file,
    hidden_file,
    scenario_from_dict,
    steps_file,
    tensors_file,
)
from tests.mutants.json_changes import Unchanged, change, choose, named, text, value_at
from tests.mutants.trace import Copy


@dataclass(frozen=True)
class Mutation:
    """What was changed. `declared` has those that change nothing that is judged."""

    file: str
    """header, end, steps, batches, tensors, or folder."""
    what: str
    """The field, by its path without indices, or the kind of tensor."""
    how: str


def mutate(copy: Copy, draw: random.Random) -> Mutation:
    """Change a copy of a trace and seal it again. Raises Unchanged."""
    kind = draw.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    found = KINDS[kind][1](copy, draw)
    if found.file != "end":
        copy.seal(hashed=found.what != "scenario_hash")
    return found


# ---- header and seal


def _header(copy: Copy, draw: random.Random) -> Mutation:
    document = copy.json(HEADER)
    inside = ("scenario",) if draw.random() < 0.6 else ()
    path = (*inside, *choose(value_at(document, inside), draw))
    scenario = _scenario(document)
    changed, path, how = change(document, draw, path)
    if path[:1] == ("scenario",) and "twice" not in how and _scenario(changed) == scenario is not None:
        raise Unchanged  # a field that may be left out
    if (
        path[:3] == ("scenario", "data", "rows")
        and scenario
        and _batches_of(_scenario(changed)) == _batches_of(scenario)
    ):
        how += ", each step's the same"
    copy.write(HEADER, text(changed).encode())
    return Mutation("header", named(path), how)


def _scenario(header: Any) -> Scenario | None:
    try:
        return scenario_from_dict(header["scenario"])
    except (ValueError, TypeError, KeyError):
        return None


def _batches_of(scenario: Scenario | None) -> list[Counter[Row]] | None:
    """The rows of each step, in whatever order."""
    if scenario is None:
        return None
    size = scenario.rows_per_step
    return [Counter(scenario.data.rows[step * size : (step + 1) * size]) for step in range(scenario.window.steps)]


def _seal(copy: Copy, draw: random.Random) -> Mutation:
    document, path, how = change(copy.json(END), draw)
    copy.write(END, text(document).encode())
    return Mutation("end", named(path[:1]), how)


# ---- lines


def _reported(copy: Copy, draw: random.Random) -> Mutation:
    return _line(copy, draw, "steps", steps_file(draw.randrange(copy.ranks)))


def _batches(copy: Copy, draw: random.Random) -> Mutation:
    return _line(copy, draw, "batches", batches_file(draw.randrange(copy.ranks)))


def _line(copy: Copy, draw: random.Random, kind: str, name: str) -> Mutation:
    lines = copy.lines(name)
    at = draw.randrange(len(lines))
    if draw.random() < 0.75:
        before = json.loads(json.dumps(lines[at]))
        lines[at], path, how = change(lines[at], draw)
        copy.write(name, "".join(text(line) + "\n" for line in lines).encode())
        return Mutation(kind, f"{named(path)}{_place(before, path)}", how)
    other = draw.randrange(len(lines))
    more, _, _ = change(json.loads(json.dumps(lines[at])), draw)
    swapped = list(lines)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    kinds: dict[str, list[Any]] = {
        "lost": lines[:at] + lines[at + 1 :],
        "twice": lines[: at + 1] + lines[at:],
        "contradicted": [*lines[: at + 1], more, *lines[at + 1 :]],
        "added": [*lines, more],
        "swapped": swapped,
        "none": [],
        "turned around": lines[::-1],
    }
    how = draw.choice(list(kinds))
    if kinds[how] == lines:
        raise Unchanged
    copy.write(name, "".join(text(line) + "\n" for line in kinds[how]).encode())
    return Mutation(kind, "line", how)


def _place(line: dict[str, Any], path: tuple[Any, ...]) -> str:
    """Whether a number of a batch is that of padding, or of a conversation's first token."""
    if len(path) != 3 or path[0] not in ("input_ids", "loss_mask", "position_ids"):
        return ""
    _, sequence, token = path
    starts = line["attention_start"][sequence if len(line["attention_start"]) > sequence else 0]
    return {-1: " of padding", token: " of a first token"}.get(starts[token], "")


def _everywhere(copy: Copy, draw: random.Random) -> Mutation:
    """One change to every line of all ranks, so that nothing contradicts it."""
    field = draw.choice(["loss", "grad_norm", "learning_rate", "loss_mask", "position_ids"])
    steps = field in ("loss", "grad_norm", "learning_rate")
    how = draw.choice(["larger", "none"] if steps else ["none", "turned around"])
    changed = False
    for rank in range(copy.ranks):
        name = steps_file(rank) if steps else batches_file(rank)
        lines = copy.lines(name)
        for line in lines:
            before = line[field]
            if before is not None:
                line[field] = {
                    "none": lambda _: None,
                    "larger": lambda v: v * 1.5,
                    "turned around": lambda v: [sequence[::-1] for sequence in v],
                }[how](before)
                changed |= line[field] != before
        copy.write_lines(name, lines)
    if not changed:
        raise Unchanged
    return Mutation("steps" if steps else "batches", f"{field} everywhere", how)


def _dealt(copy: Copy, draw: random.Random) -> Mutation:
    """The batches of two ranks or micro-batches of one step put in each other's place, their numbers made right."""
    places = [(rank, at) for rank in range(copy.ranks) for at in range(len(copy.lines(batches_file(rank))))]
    content = {rank: copy.lines(batches_file(rank)) for rank in range(copy.ranks)}
    (rank, at), (other, there) = draw.sample(places, 2)
    one, two = content[rank][at], content[other][there]
    across = one["step"] != two["step"]
    fields = [key for key in one if key not in ("step", "rank", "micro_batch")]
    if all(one[key] == two[key] for key in fields):
        raise Unchanged
    for key in fields:
        one[key], two[key] = two[key], one[key]
    for number, lines in content.items():
        copy.write_lines(batches_file(number), lines)
    return Mutation("batches", "line", "dealt to another step" if across else "dealt otherwise")


# ---- tensors


def _numbers(copy: Copy, draw: random.Random) -> Mutation:
    """Other numbers in one tensor, far beyond rounding."""
    step, rank = draw.choice(copy.states)
    name = tensors_file(step, rank)
    tensors = load(copy.bytes(name))
    key = draw.choice(sorted(tensors))
    how = draw.choice(list(TENSORS))
    changed = TENSORS[how](tensors[key].clone(), draw)
    if torch.equal(changed.double(), tensors[key].double()):
        raise Unchanged
    copy.write(name, save({**tensors, key: changed.contiguous()}))
    return Mutation("tensors", _kind(key, step, rank), how)


def _hidden(copy: Copy, draw: random.Random) -> Mutation:
    """Other numbers in what the head was given, another micro-batch's, or none at all."""
    if not copy.hidden:
        raise Unchanged
    name = draw.choice(copy.hidden)
    tensors = load(copy.bytes(name))
    key, other = draw.choice(sorted(tensors)), draw.choice(sorted(tensors))
    file = "asked hidden" if copy.asks_hidden else "hidden"
    if draw.random() < 0.3:
        kinds: dict[str, dict[str, Tensor]] = {
            "one less": {k: v for k, v in tensors.items() if k != key},
            "one more": {**tensors, "hidden/9999": torch.ones(3, 2)},
            "names swapped": {**tensors, key: tensors[other], other: tensors[key]},
            "a token less": {**tensors, key: tensors[key][1:]},
            "wider": {**tensors, key: tensors[key].double()},
        }
        how = draw.choice([*kinds, "no file"])
        if how == "no file":
            copy.remove(name)
            return Mutation(file, "file", how)
        if how == "names swapped" and (key == other or torch.equal(tensors[key], tensors[other])):
            raise Unchanged
        copy.write(name, save({k: v.contiguous().clone() for k, v in kinds[how].items()}))
        same_shape = how == "names swapped" and tensors[key].shape == tensors[other].shape
        return Mutation(file, "numbers" if same_shape else "table", how)
    how = draw.choice(list(TENSORS))
    changed = TENSORS[how](tensors[key].clone(), draw)
    if torch.equal(changed.double(), tensors[key].double()):
        raise Unchanged
    copy.write(name, save({**tensors, key: changed.contiguous()}))
    return Mutation(file, "numbers", how)


def _kind(key: str, step: int, rank: int) -> str:
    when = "before the first step" if step == 0 else "after a step"
    return f"{key.partition('/')[0]} {when} of {'rank 0' if rank == 0 else 'another rank'}"


def _one_element(tensor: Tensor, draw: random.Random) -> Tensor:
    flat = tensor.view(-1)
    size = float(tensor.double().square().mean().sqrt()) or 1e-2
    at = draw.randrange(len(flat))
    flat[at] = float(flat[at]) + 5 * size
    return tensor


def _one_not_finite(tensor: Tensor, draw: random.Random) -> Tensor:
    tensor.view(-1)[draw.randrange(tensor.numel())] = draw.choice([float("nan"), float("inf"), -float("inf")])
    return tensor


TENSORS: dict[str, Callable[[Tensor, random.Random], Tensor]] = {
    "one number": _one_element,
    "not finite": _one_not_finite,
    "zeros": lambda t, _: torch.zeros_like(t),
    "scaled": lambda t, _: t * 1.5,
    "negative": lambda t, _: -t,
    "rolled": lambda t, _: t.flatten().roll(1).view(t.shape),
    "noise": lambda t, _: t + 0.1 * float(t.double().norm()) / t.numel() ** 0.5 * torch.ones_like(t),
}


def _tensor_table(copy: Copy, draw: random.Random) -> Mutation:
    """Tensors by other names, shapes and dtypes, more of them, less of them."""
    step, rank = draw.choice(copy.states)
    name = tensors_file(step, rank)
    tensors = load(copy.bytes(name))
    key, other = draw.choice(sorted(tensors)), draw.choice(sorted(tensors))
    t = tensors[key]
    wider = {torch.float32: torch.float64, torch.bfloat16: torch.float32}.get(t.dtype, torch.float64)
    kinds: dict[str, dict[str, Tensor]] = {
        "one less": {k: v for k, v in tensors.items() if k != key},
        "one more": {**tensors, "param/more": torch.ones(3)},
        "moments where none are": {**tensors, f"exp_avg/{draw.randrange(9)}": torch.ones(3)},
        "renamed": {(k + "x" if k == key else k): v for k, v in tensors.items()},
        "names swapped": {**tensors, key: tensors[other], other: t},
        "flat": {**tensors, key: t.flatten()},
        "another shape": {**tensors, key: t.view(*t.shape, 1)},
        "wider": {**tensors, key: t.to(wider)},
        "in bfloat16": {**tensors, key: t.bfloat16()},
        "in float16": {**tensors, key: t.half()},
        "as whole numbers": {**tensors, key: (t * 100).int()},
        "no tensors": {},
    }
    how = draw.choice(list(kinds))
    changed = kinds[how]
    if changed.keys() == tensors.keys() and all(
        changed[k].dtype == v.dtype and changed[k].shape == v.shape and torch.equal(changed[k], v)
        for k, v in tensors.items()
    ):
        raise Unchanged
    copy.write(name, save({k: v.contiguous().clone() for k, v in changed.items()}))
    return Mutation("tensors", _kind(key, step, rank), how)


def _tensor_header(copy: Copy, draw: random.Random) -> Mutation:
    """The header of a safetensors file, which libraries read each in its own way."""
    name = tensors_file(*draw.choice(copy.states))
    content = copy.bytes(name)
    length = int.from_bytes(content[:8], "little")
    table, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    document, path, how = change(table, draw)
    head = text(document).encode()
    if draw.random() < 0.1:
        head, how = head + b" " * draw.choice([7, 10**5, 10**7]), f"{how}, padded"
    said = len(head) if draw.random() < 0.9 else draw.choice([0, 2**63, len(head) * 2, len(head) + len(data)])
    copy.write(name, said.to_bytes(8, "little") + head + data)
    what = "__metadata__" if path[:1] == ("__metadata__",) else "header"
    return Mutation("tensors", what, how if said == len(head) else f"{how}, another length")


# ---- whole files


def _file(copy: Copy, draw: random.Random) -> Mutation:
    name = draw.choice(copy.names)
    alike = [n for n in copy.names if n != name and n.partition("-")[0] == name.partition("-")[0]] or [HEADER]
    before, other = copy.bytes(name), copy.bytes(draw.choice(alike))
    kinds: dict[str, Callable[[], None]] = {
        "another's": lambda: copy.write(name, other),
        "cut short": lambda: copy.write(name, before[: draw.randrange(len(before))]),
        "longer": lambda: copy.write(name, before + other[:100]),
        "emptied": lambda: copy.write(name, b""),
        "a bit flipped": lambda: copy.write(name, _flipped(before, draw)),
        "garbage": lambda: copy.write(name, draw.randbytes(1000)),
        "not json at all": lambda: copy.write(name, b"not json at all"),
        "short lines": lambda: copy.write(name, b"{}\n" * 4_000_000),
        "a list without end": lambda: copy.write(name, b"[" + b"[]," * 10_000_000),
        "away": lambda: copy.remove(name),
        "a folder": lambda: (copy.remove(name), copy.path(name).mkdir())[1],
        "a pipe": lambda: (copy.remove(name), os.mkfifo(copy.path(name)))[1],
        "a link": lambda: (copy.remove(name), copy.path(name).symlink_to("/dev/zero"))[1],
        "sparse": lambda: (copy.write(name, before), os.truncate(copy.path(name), 2**34))[1],
    }
    how = draw.choice(list(kinds))
    if how == "another's" and before == other:
        raise Unchanged
    folder = ("asked hidden" if copy.asks_hidden else "hidden") if name in copy.hidden else "tensors"
    kinds[how]()
    sort = folder if name.startswith("tensors") else name.partition("-")[0].removesuffix(".json")
    if how == "sparse":  # its checksum takes too long to be made right
        return Mutation("end", sort, how)
    return Mutation(sort, "file", how)


def _flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _more_files(copy: Copy, draw: random.Random) -> Mutation:
    name = draw.choice(
        [
            steps_file(copy.ranks),
            batches_file(copy.ranks + 1),
            tensors_file(copy.steps + 1),
            "tensors/x.safetensors",
            hidden_file(copy.steps),
            "x",
        ]
    )
    copy.write(name, b"x")
    return Mutation("folder", "own name" if name != "x" else "a name that no trace has", "one more")


Change = Callable[[Copy, random.Random], Mutation]

KINDS: dict[str, tuple[float, Change]] = {
    "header": (20, _header),
    "seal": (4, _seal),
    "reported": (12, _reported),
    "batches": (18, _batches),
    "everywhere": (3, _everywhere),
    "dealt": (3, _dealt),
    "numbers": (20, _numbers),
    "hidden": (6, _hidden),
    "tensor table": (10, _tensor_table),
    "tensor header": (4, _tensor_header),
    "file": (5, _file),
    "more files": (1, _more_files),
}
"""Kinds of change, with how often each is drawn."""
