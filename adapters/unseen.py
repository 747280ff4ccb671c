"""Why a fault cannot be seen on a scenario; None where it can. Standard library only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from adapters import mixtures
from adapters.contract import Scenario, vary


def packs(scenario: Scenario) -> str | None:
    return None if scenario.data.packs else "nothing is packed"


def trains_everywhere(scenario: Scenario) -> str | None:
    """Whether every micro-batch has something to train, in the order of the rows."""
    lost = frozenset(i for i, row in enumerate(scenario.data.rows) if scenario.cuts_all(row))
    if scenario.data.trained == "everything" or not lost or scenario.data.order != "given":
        return "every micro-batch has something to train"
    window = scenario.window
    empty = any(
        all(row in lost for sequence in scenario.sequence_rows(step, number, rank) for row in sequence)
        for step in range(window.steps)
        for number in range(scenario.micro_batches(step))
        for rank in range(window.ranks)
    )
    return None if empty else "every micro-batch has something to train"


def mixture(how: str) -> Callable[[Scenario], str | None]:
    return lambda scenario: mixtures.hidden(scenario, how)


def packed_once(scenario: Scenario) -> str | None:
    if scenario.data.packed_length is None:
        return "no rows are packed by choice"
    if max(map(len, scenario.sequences)) == 1:
        return "no sequence has two rows"
    # Of rows that were never received, the end of an epoch tells.
    return None if scenario.epochs_begun > 1 else "training ends within the first epoch"


def joins(scenario: Scenario) -> str | None:
    if scenario.data.packed_length is None:
        return "no rows are packed by choice"
    first_two = [scenario.tokens(scenario.data.rows[row]) for rows in scenario.sequences[:2] for row in rows]
    fits = len(scenario.sequences) > 1 and sum(first_two) <= scenario.model.max_positions
    return None if fits else "two sequences are longer than the model takes"


def overfilled(scenario: Scenario) -> str | None:
    room = scenario.window.micro_batch_tokens
    if room is None:
        return "no micro-batches are put together by tokens"
    fuller = vary(scenario, micro_batch_tokens=2 * room)
    fewer = any(fuller.micro_batches(step) < scenario.micro_batches(step) for step in range(scenario.window.steps))
    return None if fewer else "twice the tokens are no fewer micro-batches"


def restarts(scenario: Scenario) -> str | None:
    left = scenario.tokenizer.padding_side == "left" and scenario.window.micro_batch_size > 1
    return None if left else packs(scenario)


def partial(scenario: Scenario) -> str | None:
    if scenario.window.micro_batch_tokens is not None:
        return "windows have as many micro-batches as their tokens ask for"
    full = all(scenario.micro_batches(step) == scenario.window.accumulation for step in range(scenario.window.steps))
    return "every window is full" if full else None


def another_behind(scenario: Scenario) -> str | None:
    """A partial window, and another one behind it."""
    ends = scenario.window.steps <= scenario.dealing.steps(1)
    return partial(scenario) or ("training ends with the first partial window" if ends else None)


def shares_evenly(scenario: Scenario) -> str | None:
    if scenario.data.packs:
        return "the ranks share packed sequences, not rows"
    if len(scenario.data.rows) % scenario.window.ranks == 0:
        return "the ranks share the rows evenly"
    return None if scenario.meets_last_window else "training ends before the last rows of an epoch"


def in_given_order(scenario: Scenario) -> str | None:
    if scenario.data.order == "given":
        return "no order is drawn"
    sequences = scenario.window.sequences_per_step * scenario.window.steps
    few = scenario.data.packed_length is not None and math.factorial(min(sequences, 20)) < 10_000
    return f"{sequences} packed sequences may come in the given order by chance" if few else None


def drawn_twice(scenario: Scenario) -> str | None:
    if scenario.data.order == "given":
        return "no order is drawn"
    if scenario.data.order == "by-length":
        return "all orders by length may be one"
    return None if scenario.epochs_begun > 1 else "there is one epoch"


def grouped(scenario: Scenario) -> str | None:
    if scenario.data.order != "by-length":
        return "rows are not to be grouped by length"
    window, rows = scenario.window, len(scenario.data.rows)
    alike = Counter(map(scenario.tokens, scenario.data.rows)).values()
    batches = (window.micro_batch_size * window.accumulation, window.micro_batch_size * window.ranks)
    orders = max(_sorted(rows, batch) for batch in batches) + sum(math.lgamma(n + 1) for n in alike)
    whole = window.steps * window.sequences_per_step // rows
    return None if whole and whole * orders < math.log(1e-6) else "so few rows may come by length by chance"


def _sorted(rows: int, batch: int) -> float:
    """Logarithm of the share of orders in which groups of some batches are sorted, but for one row."""
    group = batch * min(max(rows // (4 * batch), 1), 50)
    sizes = (min(group, rows - at) for at in range(0, rows, group))
    return math.log(rows + 1) - sum(math.lgamma(size + 1) for size in sizes)


def own_pad(scenario: Scenario) -> str | None:
    return "padding has a token of its own" if scenario.tokenizer.pad_token == "own" else None


def no_bos(scenario: Scenario) -> str | None:
    return None if scenario.tokenizer.bos else "the tokenizer has no BOS"


def no_system(scenario: Scenario) -> str | None:
    return None if scenario.tokenizer.system else "the template has no default system message"


def one_answer(scenario: Scenario) -> str | None:
    """Whether no row has a second answer, so that the last one is all."""
    several = any(sum(message.role == "assistant" for message in row) > 1 for row in scenario.data.rows)
    return None if several else "every row has one answer"


def unless(trained: str) -> Callable[[Scenario], str | None]:
    return lambda scenario: f"{trained} is what is meant to be trained" if scenario.data.trained == trained else None


def fp32(scenario: Scenario) -> str | None:
    reasons = {
        "bf16": "the scenario computes in bf16 anyway",
        "fp16": "what sums in bf16 add is within what is allowed for rounding in fp16",
    }
    return reasons.get(scenario.precision.compute)


def scales(scenario: Scenario) -> str | None:
    return None if scenario.precision.compute == "fp16" else "the loss is not scaled"


def unscaled(scenario: Scenario) -> str | None:
    scaled = scenario.precision.compute == "fp16"
    return "what is left of the step before is not scaled, and so next to nothing" if scaled else None


def overflows(scenario: Scenario) -> str | None:
    return scales(scenario) or (None if scenario.precision.loss_scale >= 2**20 else "no gradient overflows")


def masters(scenario: Scenario) -> str | None:
    return None if scenario.precision.masters == "fp32" else "the scenario has no float32 masters"


def smoothing_rounds_off(scenario: Scenario) -> str | None:
    if scenario.loss.label_smoothing == 0.1:
        return "labels are smoothed by 0.1 as it is"
    coarse = scenario.precision.compute == "bf16"
    return "the 2 % of the gradient that smoothing adds are within the rounding of bf16" if coarse else None


def several_steps(scenario: Scenario) -> str | None:
    return None if scenario.window.steps > 1 else "the first step has nothing before it"


def moves(scenario: Scenario) -> str | None:
    """A step that moves something, and another one behind it in the same processes."""
    last, apart = scenario.window.steps - 1, scenario.window.resume_after - 1
    moving = (scenario.learning_rate_at(step) != 0 and step != apart for step in range(last))
    return None if any(moving) else "no step comes after one that moves anything"


def fused(scenario: Scenario) -> str | None:
    own = scenario.loss.implementation == "own"
    return "the loss is not computed from the head's input" if own else None


def compiles(scenario: Scenario) -> str | None:
    return "nothing is compiled" if scenario.model.compiled == "none" else None


def longer(scenario: Scenario) -> str | None:
    """On every rank, a micro-batch of the first step that is longer than its first one."""
    every = range(scenario.micro_batches(0))
    widths = [[_width(scenario, number, rank) for number in every] for rank in range(scenario.window.ranks)]
    there = all(max(width) > width[0] for width in widths)
    return None if there else "no micro-batch is longer than the first one"


def _width(scenario: Scenario, number: int, rank: int) -> int:
    """Of a micro-batch of the first step, words of the longest sequence."""
    sequences = scenario.sequence_rows(0, number, rank)
    rows = scenario.data.rows
    return max(sum(len(m.content.split()) for i in sequence for m in rows[i]) for sequence in sequences)


def loaded_exactly(scenario: Scenario) -> str | None:
    coarse = scenario.precision.compute == "bf16"
    return "a model that computes in bf16 may be loaded so" if coarse else None


def balances(scenario: Scenario) -> str | None:
    return None if scenario.loss.auxiliary else "the scenario has no load-balancing loss"


def resumes(scenario: Scenario) -> str | None:
    return None if scenario.window.resume_after else "the run is in one piece"


def moves_before_resuming(scenario: Scenario) -> str | None:
    rates = map(scenario.learning_rate_at, range(scenario.window.resume_after))
    return None if any(rates) else "no step before the checkpoint has a learning rate"


def fewer_go_on(scenario: Scenario) -> str | None:
    return None if scenario.window.resume_ranks else "as many ranks go on as before, if any"


def resumed_at_an_end(scenario: Scenario) -> str | None:
    if (piece := resumes(scenario)) is not None:
        return piece
    within = scenario.dealing.window(scenario.window.resume_after)[1]
    return "the checkpoint is not at the end of an epoch" if within else None


def resumed_at(moved: Callable[[int], int]) -> Callable[[Scenario], str | None]:
    """Hidden where every step after the checkpoint has the rows that it would have, moved from its own place."""

    def why(scenario: Scenario) -> str | None:
        if (piece := resumes(scenario)) is not None:
            return piece
        first = scenario.window.resume_after
        steps = range(first, scenario.window.steps)
        if all(sorted(scenario.step_rows(s)) == sorted(scenario.step_rows(s + moved(first))) for s in steps):
            return "the step after the checkpoint has the same rows as the one whose it takes"
        chosen = scenario.data.order != "given" or scenario.data.packed_length is not None
        return "the order is drawn, so that no step has rows of its own" if chosen else None

    return why


def updates(scenario: Scenario) -> str | None:
    return None if scenario.model.lora is not None else "the model has no low-rank updates"


def updates_by_scale(scenario: Scenario) -> str | None:
    lora = scenario.model.lora
    return "the scale of low-rank updates is 1" if lora is not None and lora.scale == 1.0 else updates(scenario)


def stabilizes(scenario: Scenario) -> str | None:
    lora = scenario.model.lora
    return None if lora is not None and lora.rslora else "the model has no low-rank updates as rsLoRA has them"


def freezes(scenario: Scenario) -> str | None:
    whole = scenario.model.lora is None and not scenario.model.frozen
    return "every parameter is to be trained" if whole else None


def extra_rows(scenario: Scenario) -> str | None:
    return None if scenario.model.extra_rows else "the model has no rows beyond the tokenizer's vocabulary"


def taken_from_logits(scenario: Scenario) -> str | None:
    own = scenario.loss.implementation == "own"
    return None if own else "the loss is made of what the head is given, and takes all of its rows"


def trains_head(scenario: Scenario) -> str | None:
    gpt2, tied = scenario.model.architecture == "gpt2", scenario.model.tied_embeddings
    head = ("transformer.wte.weight" if gpt2 else "model.embed_tokens.weight") if tied else "lm_head.weight"
    return None if scenario.model.trains(head) else "the head is not trained"


def odd_rows(scenario: Scenario) -> str | None:
    odd = scenario.model.vocab_size % scenario.window.ranks
    return trains_head(scenario) if odd else "the ranks share the rows of the head evenly"


def caps(scenario: Scenario) -> str | None:
    return "the model has no soft cap on its scores" if scenario.model.attention_softcap is None else None


def reduces(scenario: Scenario) -> str | None:
    """Whether nothing tells what gradients are reduced in."""
    asked = scenario.precision.reduction
    if asked == "bf16":
        return "they are meant to be"
    if asked == "fp32" and any(map(scenario.cuts_all, scenario.data.rows)):
        return "a rank may have nothing to train, and what the other one has is rounded as it is made"
    return fp32(scenario) if asked == "own" or scenario.window.ranks == 1 else None


def reduces_coarsely(scenario: Scenario) -> str | None:
    """Whether nothing tells that gradients are not reduced in bf16."""
    if scenario.precision.reduction != "bf16" or scenario.window.ranks == 1:
        return "they are not meant to be reduced in bf16"
    if any(map(scenario.cuts_all, scenario.data.rows)):
        return "a rank may have nothing to train, and what the other one has is rounded as it is made"
    rule, model = scenario.optimizer, scenario.model
    if rule.kind == "sgd" and (rule.weight_decay or any(group.weight_decay for group in rule.groups)):
        return "SGD rounds its gradient with the decay in it"
    if scenario.micro_batches(0) > 1 and (model.tied_embeddings or model.lora is not None or model.frozen):
        return "sums over micro-batches keep no trace of it, and no embedding has a gradient of its own"
    if scenario.micro_batches(0) > 1 and _shared_once(scenario) < 8:
        return "sums over micro-batches keep no trace of it, and hardly a token is in one micro-batch alone"
    return None


def _shared_once(scenario: Scenario) -> int:
    """Words that one micro-batch of the first step alone has, but several ranks in it; 0 where the order is drawn."""
    if scenario.data.order != "given" or scenario.data.packs or scenario.data.max_length is not None:
        return 0
    places: dict[str, set[tuple[int, int]]] = {}
    for number in range(scenario.micro_batches(0)):
        for rank in range(scenario.window.ranks):
            for sequence in scenario.sequence_rows(0, number, rank):
                for word in (w for row in sequence for m in scenario.data.rows[row] for w in m.content.split()):
                    places.setdefault(word, set()).add((number, rank))
    return sum(len({number for number, _ in at}) == 1 and len(at) > 1 for at in places.values())


def shifts_itself(scenario: Scenario) -> str | None:
    own = scenario.loss.implementation == "own"
    return None if own else "the loss is made of what the head is given, and shifts its targets by itself"


def adds_noise(scenario: Scenario) -> str | None:
    return None if scenario.model.neftune_alpha else "no noise is asked for"


def adds_none(scenario: Scenario) -> str | None:
    return "noise is asked for" if scenario.model.neftune_alpha else None


def several_rows(scenario: Scenario) -> str | None:
    """Whether a micro-batch has more sequences than one, in the first step."""
    one = scenario.window.micro_batch_size == 1
    return "a micro-batch has one sequence" if one else None


def accumulates(scenario: Scenario) -> str | None:
    """Whether what is drawn first in two micro-batches of a step is for tokens of both."""
    if scenario.tokenizer.padding_side == "left" and scenario.window.micro_batch_size > 1:
        return "rows begin with padding, of which no noise is recorded"
    return None if max(map(scenario.micro_batches, range(scenario.window.steps))) > 1 else "a step has one micro-batch"


def unless_by_row(scenario: Scenario) -> str | None:
    return "rows are averaged by themselves" if scenario.objective.normaliser == "row" else None


def of_pairs(scenario: Scenario) -> str | None:
    """Of what both rows of a pair have alike, such as the question, the difference is not made; nor of what the rows of
    a group have alike, whose advantages add up to 0, where each of their tokens is divided by the same."""
    wanted = scenario.objective
    sums = not wanted.preference.endswith("-mean") and not wanted.sft_coefficient
    if wanted.method == "dpo" and sums:
        return "both rows of a pair have the same prompt"
    once = wanted.rollout_steps == 1 and not wanted.refers and scenario.rows_per_step % wanted.group_size == 0
    centred = wanted.method == "grpo" and wanted.normaliser == "constant" and wanted.advantage != "given"
    return "all rows of a group have the same prompt" if centred and once else None
