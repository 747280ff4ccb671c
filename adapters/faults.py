"""The catalogue of faults that can be planted in the torch reference, to prove that every one is found and named.

A fault is a plan that differs from the right one. Standard library only, so that the harness can list it. What must
come out is written beside each fault, and where a scenario hides it, and why.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from adapters import mixtures, model_faults, objective_faults, unseen, unseen_rules
from adapters.contract import Scenario
from adapters.fault import Fault, Hidden, both
from adapters.plan import RIGHT, Plan
from adapters.planned import rates

__all__ = ["CATALOGUE", "RIGHT", "Fault", "Hidden", "Plan", "plan"]


def _uneven(scenario: Scenario) -> str | None:
    if scenario.objective.method == "dpo":
        return "pairs are averaged, and every micro-batch has as many"
    lengths = {len(row[-1].content.split()) for row in scenario.data.rows}
    return "all responses are equally long, so all means weigh tokens alike" if len(lengths) == 1 else None


def _accumulates(scenario: Scenario, least: int) -> str | None:
    by_tokens = scenario.window.micro_batch_tokens is not None
    count = (
        min(map(scenario.micro_batches, range(scenario.window.steps))) if by_tokens else scenario.window.accumulation
    )
    return f"needs {least} micro-batches in a step, there are {count}" if count < least else None


def _many_ranks(scenario: Scenario) -> str | None:
    return "there is one rank" if scenario.window.ranks == 1 else None


def _replicated(scenario: Scenario) -> str | None:
    few = scenario.window.ranks < 4 or scenario.window.ranks % 2
    return "there are no two groups of ranks" if few else None


def _clips(scenario: Scenario) -> str | None:
    return "the scenario does not clip" if scenario.optimizer.max_grad_norm is None else None


def _decays(scenario: Scenario) -> str | None:
    return None if scenario.optimizer.weight_decay else "the scenario has no weight decay"


def _warms_up(scenario: Scenario) -> str | None:
    return None if not scenario.optimizer.schedule.constant else "a constant learning rate is the same a step later"


def _other_rates(**planned: Any) -> Hidden:
    """For a plan of another schedule."""

    def hidden(scenario: Scenario) -> str | None:
        alike = rates(scenario, Plan(**planned)) == rates(scenario, RIGHT)
        return "every step has the right learning rate all the same" if alike else None

    return hidden


def _tied(scenario: Scenario) -> str | None:
    return None if scenario.model.tied_embeddings else "the head is not tied to the embedding"


def _smooths(scenario: Scenario) -> str | None:
    return None if scenario.loss.label_smoothing else "the scenario smooths no labels"


def _weighs(scenario: Scenario) -> str | None:
    return None if scenario.loss.token_weight != "one" else "the scenario multiplies no token's loss by anything"


def _checkpoints(scenario: Scenario) -> str | None:
    return None if scenario.model.gradient_checkpointing else "no layer is computed again"


def _at_least(count: int) -> Hidden:
    return lambda scenario: _accumulates(scenario, count)


_DROPPED = "weights.dropped-micro-batches"
_MEANS = "weights.mean-of-means"
_LOST = ("weights.residual", "update.moments", "update.learning-rate", "update.weight-decay")
# Clipping to a norm hides a gradient that is too long; its reported norm still tells.
_SCALE = ("weights.scale", "grad-norm.value")
_BATCH = ("inputs.batch",)
_AUXILIARY = ("weights.auxiliary",)
_RATE = ("update.learning-rate",)
_SCHEDULE = "learning-rate-schedule"

_FAULTS = (
    Fault("drop-intermediate", "only the first and the last micro-batch are accumulated",
          Plan(keep="first-and-last"), (_DROPPED,), "dropped-micro-batches", _at_least(3)),
    Fault("keep-first", "only the first micro-batch is accumulated",
          Plan(keep="first"), (_DROPPED,), "dropped-micro-batches", _at_least(2)),
    Fault("keep-last", "only the last micro-batch is accumulated",
          Plan(keep="last"), (_DROPPED,), "dropped-micro-batches", _at_least(2)),
    Fault("mean-of-micro-batches", "every micro-batch is averaged by itself, then their means",
          Plan(level="micro-batch"), (_MEANS,), "mean-of-means", _uneven),
    Fault("mean-of-ranks", "every rank averages its own tokens, then the ranks are averaged",
          Plan(level="rank"), (_MEANS,), "mean-of-means", both(_uneven, _many_ranks)),
    Fault("mean-of-micro-steps", "tokens are pooled over the ranks, but every micro-step is averaged by itself",
          Plan(level="micro-step"), (_MEANS,), "mean-of-means", both(_uneven, _at_least(2))),
    Fault("mean-of-rows", "every conversation is averaged by itself, then the conversations",
          Plan(level="row"), (_MEANS,), "mean-of-means", both(_uneven, unseen.unless_by_row)),
    Fault("scaled-by-accumulation", "the loss is not divided by the number of micro-batches",
          Plan(scale="GA"), _SCALE, "gradient-scale", _at_least(2)),
    Fault("divided-by-accumulation", "the gradient is divided by the number of micro-batches once too often",
          Plan(scale="1/GA"), _SCALE, "gradient-scale", _at_least(2)),
    Fault("scaled-by-world-size", "gradients are summed over the ranks instead of averaged",
          Plan(scale="world"), _SCALE, "gradient-scale", _many_ranks),
    Fault("prompt-trained", "the loss mask covers the prompts too",
          Plan(mask="everything"), ("weights.mask",), "loss-mask",
          both(unseen.unless("everything"), unseen.of_pairs)),
    Fault("eos-untrained", "the token that ends a response is not trained",
          Plan(mask="no-eos"), ("weights.mask",), "loss-mask"),
    Fault("first-token-untrained", "the first token of every response is not trained",
          Plan(mask="no-first"), ("weights.mask",), "loss-mask"),
    Fault("mask-shifted", "the loss mask is one token early: the last prompt token is trained, the EOS is not",
          Plan(mask="shifted"), ("weights.mask",), "loss-mask"),
    Fault("mask-late", "the loss mask is one token late: the first token of a response is not trained, the padding"
          " behind its EOS is, where there is any", Plan(mask="late"), ("weights.mask",), "loss-mask"),
    Fault("tag-trained", "the last prompt token, the tag that opens a response, is trained with it",
          Plan(mask="with-tag"), ("weights.mask",), "loss-mask", unseen.of_pairs),
    Fault("padding-id-untrained", "no token of the padding's id is trained, which the EOS is where padding is by EOS",
          Plan(mask="no-padding-id"), ("weights.mask",), "loss-mask", unseen.own_pad),
    Fault("last-answer-only", "the last answer of each row is trained, those before it are not",
          Plan(mask="last-answer"), ("weights.mask",), "loss-mask", both(unseen.one_answer,
          unseen.unless("last-answer"))),
    Fault("responses-trained", "the responses are trained, and nothing else",
          Plan(mask="responses"), ("weights.mask",), "loss-mask", unseen.unless("responses")),
    Fault("bos-twice", "the template and the tokenizer both write a BOS",
          Plan(tokens="bos-twice"), ("inputs.token-ids",), "tokenization", unseen.no_bos),
    Fault("bos-missing", "rows do not begin with the tokenizer's BOS",
          Plan(tokens="no-bos"), ("inputs.token-ids",), "tokenization", unseen.no_bos),
    Fault("system-missing", "rows do not begin with the template's default system message",
          Plan(tokens="no-system"), ("inputs.token-ids",), "tokenization", unseen.no_system),
    Fault("no-clipping", "the gradient is not clipped", Plan(clip="none"), ("update.clip",), "clipping", _clips),
    Fault("clipping-per-rank", "every rank clips its own gradient before they are averaged",
          Plan(clip="per-rank"), ("update.clip",), "clipping", both(_clips, _many_ranks)),
    Fault("clipping-before-averaging", "the gradient is summed over the ranks, clipped, and only then divided",
          Plan(clip="before-averaging"), ("update.clip",), "clipping", both(_clips, _many_ranks)),
    Fault("clipping-per-shard", "parameters are sharded, and every rank clips its shard by the norm of that alone",
          Plan(clip="per-shard"), ("update.clip", "weights.residual"), "clipping", both(_clips, _many_ranks)),
    Fault("replicas-apart", "sharded in two groups of ranks, gradients are averaged in each and not between them",
          Plan(replicas="apart"), ("state.rank-desync",), "replicas-apart", _replicated),
    Fault("replicas-averaged-twice", "sharded in two groups of ranks, averages over all ranks are halved once more",
          Plan(replicas="twice"), _SCALE, "gradient-scale", _replicated),
    Fault("norm-of-a-shard", "the gradient is clipped rightly, but the reported norm is that of one rank's shard",
          Plan(reported_norm="shard"), ("grad-norm.value",), "misreported", _many_ranks),
    Fault("optimizer-of-copies", "the optimizer holds the parameters as they were before the model was wrapped, so that"
          " nothing moves", Plan(stepped="copies"), ("weights.scale",), "nothing-trained"),
    Fault("labels-unshifted", "labels are not shifted: logits are held against the token that they were made from",
          Plan(shifted=False), ("weights.residual",), "labels-unshifted", unseen.shifts_itself),
    Fault("decay-on-norms", "weight decay applies to norms as well",
          Plan(decay="all"), ("update.weight-decay",), "weight-decay",
          both(_decays, unseen_rules.exempts, unseen_rules.trains_norms)),
    Fault("decay-not-on-norms", "weight decay leaves norms and biases out, which are meant to decay",
          Plan(decay="matrices"), ("update.weight-decay",), "weight-decay",
          both(_decays, unseen_rules.exempts_nothing)),
    Fault("decay-on-the-wrong-group", "norms and biases decay, and the matrices do not",
          Plan(decay="others"), ("update.weight-decay",), "weight-decay", both(_decays, unseen_rules.exempts)),
    Fault("groups-collapsed", "parameters with a learning rate of their own have that of the rest",
          Plan(one_rate=True), _RATE, _SCHEDULE, unseen_rules.apart),
    Fault("learning-rate-late", "every step has the learning rate of the step before",
          Plan(schedule_shift=-1), _RATE, _SCHEDULE, _other_rates(schedule_shift=-1)),
    Fault("learning-rate-early", "every step has the learning rate of the step after",
          Plan(schedule_shift=1), _RATE, _SCHEDULE, _other_rates(schedule_shift=1)),
    Fault("learning-rate-misreported", "the learning rate is read for the log after the schedule has moved on",
          Plan(reported_shift=1), ("learning-rate.value",), "misreported", _warms_up),
    Fault("learning-rate-zero-first", "the first step has learning rate 0",
          Plan(zero_first_step=True), _RATE, _SCHEDULE, _other_rates(zero_first_step=True)),
    Fault("schedule-per-micro-step", "the schedule moves with every micro-batch, so it is over GA times too early",
          Plan(schedule_speed="GA"), _RATE, _SCHEDULE, _other_rates(schedule_speed="GA")),
    Fault("schedule-per-rank", "the schedule moves once for every rank, so it is over too early by their number",
          Plan(schedule_speed="world"), _RATE, _SCHEDULE, _other_rates(schedule_speed="world")),
    Fault("horizon-in-micro-batches", "the schedule counts micro-batches for its end, so it falls too slowly",
          Plan(schedule="horizon-in-micro-batches"), _RATE, _SCHEDULE,
          _other_rates(schedule="horizon-in-micro-batches")),
    Fault("least-rate-ignored", "the learning rate falls to 0 instead of its least",
          Plan(schedule="no-least"), _RATE, _SCHEDULE, _other_rates(schedule="no-least")),
    Fault("no-warm-up", "the learning rate is whole from the first step on",
          Plan(schedule="no-warmup"), _RATE, _SCHEDULE, _other_rates(schedule="no-warmup")),
    Fault("warm-up-from-first", "the warm-up counts steps from 1, where its first step is meant to have no rate",
          Plan(schedule="from-first"), _RATE, _SCHEDULE, _other_rates(schedule="from-first")),
    Fault("engine-schedule", "the schedule of the engine's own configuration is taken in silence, a logarithmic warm-up"
          " without a fall, and not the one that is asked for",
          Plan(schedule="engine"), _RATE, _SCHEDULE, _other_rates(schedule="engine")),
    Fault("wrong-beta1", "Adam's beta1 is 0.95", Plan(beta1=0.95), ("update.moments",), "optimizer-moments",
          unseen_rules.adam_of("beta1", 0.95)),
    Fault("wrong-beta2", "Adam's beta2 is 0.95", Plan(beta2=0.95), ("update.moments",), "optimizer-moments",
          unseen_rules.adam_of("beta2", 0.95)),
    Fault("wrong-eps", "Adam's eps is 1e-5", Plan(eps=1e-5), ("update.moments",), "optimizer-moments",
          unseen_rules.adam_of("eps", 1e-5)),
    Fault("step-count-ahead", "the optimizer makes a step with a zero gradient before the training, so Adam's bias"
          " correction is a step ahead", Plan(idle_first_step=True), ("update.moments",), "bias-correction",
          unseen_rules.adam),
    Fault("momentum-forgotten", "SGD begins every step without momentum", Plan(momentum="forgotten"),
          ("update.moments",), "optimizer-moments", unseen_rules.of_momentum),
    Fault("momentum-dampened", "SGD adds 0.7 of the gradient to its momentum, but for the first time",
          Plan(momentum="dampened"), ("weights.scale", "update.clip"), "optimizer-moments", unseen_rules.of_momentum),
    Fault("wrong-momentum", "SGD's momentum is 0.8", Plan(momentum="0.8"), ("update.moments",), "optimizer-moments",
          unseen_rules.of_momentum),
    Fault("nesterov", "SGD moves the parameters as Nesterov has it", Plan(momentum="nesterov"), ("update.moments",),
          "optimizer-moments", unseen_rules.sums),
    Fault("squares-forgotten", "Adagrad begins every step without the squares of the steps before",
          Plan(squares="forgotten"), ("update.moments",), "optimizer-moments", unseen_rules.adds_squares),
    Fault("wrong-alpha", "RMSprop's alpha is 0.9", Plan(squares="0.9"), ("update.moments",), "optimizer-moments",
          unseen_rules.averages_squares),
    Fault("decay-decoupled", "SGD decays the parameters by themselves, as AdamW does, and not by way of its gradient",
          Plan(decoupled=True), ("update.weight-decay",), "weight-decay", both(unseen_rules.sums, _decays)),
    Fault("rank-alone", "the last rank steps with its own gradient instead of the average",
          Plan(last_rank_alone=True), ("state.rank-desync",), "rank-desync", _many_ranks),
    Fault("loss-scale-not-undone", "the gradient is clipped and used as the scaled loss made it",
          Plan(scaling="not-undone"), _SCALE, "gradient-scale", unseen.scales),
    Fault("clipping-before-unscaling", "the gradient is clipped before it is divided by the scale of the loss",
          Plan(scaling="undone-after-clipping"), ("update.clip",), "clipping", both(unseen.scales, _clips)),
    Fault("overflow-ignored", "elements of the gradient that overflow are set to zero, and the step is made",
          Plan(scaling="overflow-ignored"), ("update.overflow",), "loss-scaling", unseen.overflows),
    Fault("overflow-skipped-alone", "where a gradient overflows, the last rank skips the step, and the others make it",
          Plan(scaling="overflow-alone"), ("state.rank-desync",), "rank-desync", both(unseen.overflows, _many_ranks)),
    Fault("row-repeated", "the second micro-batch repeats the first, whose place it takes",
          Plan(repeat_row=True), ("inputs.batch",), "batch-composition", _at_least(2)),
    Fault("partial-window-divided-by-full", "the last window of an epoch is divided as if it had as many micro-batches"
          " as the others", Plan(full_divisor=True), _SCALE, "gradient-scale", unseen.partial),
    Fault("partial-window-carried", "there is no optimizer step at the end of an epoch: the gradient of its partial"
          " window goes into the next step", Plan(carry_gradient=True), _BATCH, "epoch-end", unseen.another_behind),
    Fault("windows-misaligned", "micro-batches are counted over epochs, so that a window takes the end of one and"
          " the begin of the next", Plan(last_window="carried"), _BATCH, "epoch-end", unseen.another_behind),
    Fault("last-rows-lost", "the rows at the end of an epoch that do not fill a window are not trained",
          Plan(last_window="dropped"), _BATCH, "epoch-end", unseen.another_behind),
    Fault("rows-doubled", "the first rows of an epoch are trained again at its end, to fill the last window",
          Plan(last_window="filled"), _BATCH, "epoch-end", unseen.another_behind),
    Fault("uneven-rows-lost", "the last rows, which the ranks cannot share evenly, are trained in no epoch",
          Plan(only_shared=True), _BATCH, "epoch-end", unseen.shares_evenly),
    Fault("order-given", "rows come in the given order, though another one is to be drawn", Plan(as_given=True),
          ("inputs.order",), "epoch-order", unseen.in_given_order),
    Fault("order-repeated", "every epoch has the order that was drawn for the first", Plan(one_order=True),
          ("inputs.order",), "epoch-order", unseen.drawn_twice),
    Fault("order-not-grouped", "rows are shuffled without regard to their length, by which they are to be grouped",
          Plan(ungrouped=True), ("inputs.order",), "epoch-order", unseen.grouped),
    Fault("resume-repeats-rows", "a run that goes on from a checkpoint begins with the first rows again",
          Plan(resumed_rows="anew"), _BATCH, "resume", unseen.resumed_at(lambda first: -first)),
    Fault("resume-skips-rows", "a run that goes on from a checkpoint skips the rows of a step",
          Plan(resumed_rows="skipping"), _BATCH, "resume", unseen.resumed_at(lambda _: 1)),
    Fault("resume-forgets-schedule", "a run that goes on from a checkpoint begins its schedule anew",
          Plan(forgets="schedule"), ("update.learning-rate",), "resume", both(unseen.resumes, _warms_up)),
    Fault("resume-forgets-moments", "a run that goes on from a checkpoint begins with a new optimizer",
          Plan(forgets="moments"), ("update.moments", "weights.residual"), "resume", unseen.resumes),
    Fault("resume-forgets-masters", "a run that goes on from a checkpoint begins with parameters rounded to bfloat16",
          Plan(forgets="masters"), ("update.moments",), "resume", unseen.resumes),
    Fault("resume-loses-parameters", "a run that goes on from a checkpoint begins with half of its parameters as they"
          " were before the training", Plan(forgets="parameters"), _LOST, "resume",
          both(unseen.resumes, unseen.moves_before_resuming)),
    Fault("resume-counts-by-new-ranks", "a run that goes on from a checkpoint on fewer ranks skips as many rows as its"
          " steps would have had on those", Plan(resumed_rows="by-new-window"), _BATCH, "resume", unseen.fewer_go_on),
    Fault("resume-scaled-by-old-ranks", "a run that goes on from a checkpoint on fewer ranks divides by them, and is"
          " multiplied by those before", Plan(scale="old-world"), _SCALE, "gradient-scale", unseen.fewer_go_on),
    Fault("resume-loses-epoch", "a run that goes on from a checkpoint at the end of an epoch leaves out the next one",
          Plan(resumed_rows="an-epoch-on"), ("inputs.epoch",), "resume", unseen.resumed_at_an_end),
    Fault("attention-leaks", "packed conversations attend to those before them",
          Plan(attention="leaking"), ("weights.residual",), "attention-leak", unseen.packs),
    Fault("positions-run-on", "positions do not restart with each packed conversation, or count the padding before it;"
          " rotary embeddings see only differences of positions, so the gradient cannot tell, but recorded inputs do",
          Plan(positions="running-on"), ("inputs.positions",), "positions", unseen.restarts),
    Fault("window-lost-to-empty", "a micro-batch with nothing to train has a mean of NaN, for which the gradient of its"
          " whole window is set to zero", Plan(empty="window-lost"), ("grad-norm.value",), "dropped-micro-batches",
          unseen.trains_everywhere),
    Fault("dataset-lost", "the second of several datasets is never trained", Plan(mixture="lacking"), _BATCH, "mixture",
          unseen.mixture("lacking")),
    Fault("dataset-doubled", "the rows of the second of several datasets come twice in an epoch",
          Plan(mixture="doubling"), _BATCH, "mixture", unseen.mixture("doubling")),
    Fault("datasets-in-turn", "rows are taken from several datasets in turn until one of them ends, so that all have"
          " the same share, and the rest of the others is lost", Plan(mixture="in-turn"), _BATCH, "mixture",
          unseen.mixture("in-turn")),
    Fault("datasets-concatenated", "several datasets are put one behind the other, where rows are to come in turn",
          Plan(mixture="concatenated"), _BATCH, "mixture", mixtures.in_turn),
    Fault("packed-row-lost", "a row is left out of the sequence that it is packed into, and never trained",
          Plan(packer="drops"), _BATCH, "packing", unseen.packed_once),
    Fault("packed-row-doubled", "a row is packed into a sequence twice",
          Plan(packer="doubles"), _BATCH, "packing", unseen.packed_once),
    Fault("packed-too-long", "rows are packed into a sequence that is longer than it may be",
          Plan(packer="joins"), ("inputs.packing",), "packing", unseen.joins),
    Fault("micro-batch-overfilled", "micro-batches that are put together by tokens have up to twice as many",
          Plan(packer="overfills"), ("inputs.packing",), "packing", unseen.overfilled),
    Fault("packed-border-trained", "the first token of a packed row is trained, predicted by the last of the row before"
          " it", Plan(mask="into-next"), ("weights.mask",), "loss-mask", unseen.packs),
    Fault("bf16-accumulation", "micro-batch gradients are summed up in bfloat16",
          Plan(accumulator="bf16"), ("numerics.dtype",), "coarse-dtype", unseen.fp32),
    Fault("bf16-reduction", "gradients are rounded to bfloat16 before they are averaged over the ranks, where float32"
          " is asked for", Plan(reduction="bf16"), ("numerics.dtype",), "coarse-dtype", unseen.reduces),
    Fault("fp32-reduction", "gradients are averaged over the ranks in float32, where bfloat16 is asked for",
          Plan(reduction="fp32"), ("numerics.dtype",), "coarse-dtype", unseen.reduces_coarsely),
    Fault("masters-lost", "the parameters are rounded to bfloat16 after every step, as without float32 masters",
          Plan(masters="bf16"), ("numerics.dtype",), "coarse-dtype", unseen.masters),
    Fault("gradient-not-zeroed", "every step adds to the gradient of the steps before",
          Plan(zero_grad=False), ("weights.residual",), "stale-gradient",
          both(unseen.several_steps, unseen.unscaled)),
    Fault("decay-in-gradient", "weight decay 0.1 is added to the gradient instead of the update",
          Plan(l2=0.1), ("weights.residual",), "coupled-decay"),
    Fault("tied-head-lost", "the embedding is the head as well, but gets its gradient from the input alone",
          Plan(tied_part="input"), ("weights.residual",), "tied-gradient", both(_tied, unseen.trains_head)),
    Fault("tied-input-lost", "the embedding is the head as well, but gets its gradient from the head alone",
          Plan(tied_part="head"), ("weights.residual",), "tied-gradient", both(_tied, unseen.trains_head)),
    Fault("padding-row-frozen", "the embedding of the token that pads is frozen, which is the EOS where padding is by"
          " EOS, and read in a row of several turns",
          Plan(padding_row="frozen"), ("weights.residual",), "padding-embedding", both(unseen.own_pad,
          unseen.one_answer)),
    Fault("softcap-left-out", "scores of attention are not capped, though the model says so",
          Plan(softcap=False), ("weights.residual",), "soft-cap", unseen.caps),
    Fault("label-smoothing", "labels are smoothed by 0.1",
          Plan(smoothing="unasked"), ("weights.residual",), "unexplained-gradient", unseen.smoothing_rounds_off),
    Fault("smoothing-missing", "labels are not smoothed",
          Plan(smoothing="none"), ("weights.residual",), "label-smoothing", _smooths),
    Fault("smoothing-applied-twice", "labels that are smoothed are smoothed again",
          Plan(smoothing="twice"), ("weights.residual",), "label-smoothing", _smooths),
    Fault("smoothing-over-all-tokens", "the smoothed part of the loss is averaged over prompts as well",
          Plan(smoothed_over="everything"), ("weights.residual",), "label-smoothing", _smooths),
    Fault("smoothing-of-micro-batches", "the smoothed part of the loss is averaged in every micro-batch by itself",
          Plan(smoothed_over="micro-batch"), ("weights.residual",), "label-smoothing", both(_smooths, _uneven)),
    Fault("probability-left-out", "the loss of a token is not multiplied by its probability",
          Plan(token_weight="one"), ("weights.uneven",), "token-weight", _weighs),
    Fault("lora-scaled-twice", "low-rank updates are multiplied by their scale twice",
          Plan(lora_scale="twice"), ("weights.residual",), "lora-scale", unseen.updates_by_scale),
    Fault("rslora-ignored", "low-rank updates are multiplied by alpha / rank instead of alpha / sqrt(rank)",
          Plan(lora_scale="plain"), ("weights.residual",), "lora-scale", unseen.stabilizes),
    Fault("lora-left-merged", "low-rank updates are added to the matrices after the first step, and left there",
          Plan(left_merged=True), ("state.frozen",), "frozen-moved", unseen.updates),
    Fault("frozen-trained", "what is not to be trained is trained with the rest, and counts in its norm",
          Plan(thawed=True), ("state.frozen",), "frozen-moved", unseen.freezes),
    Fault("lora-half-trained", "the first of the two matrices of low-rank updates has no gradient",
          Plan(stuck="*lora*_A*"), ("weights.residual",), "untrained-part", unseen.updates),
    Fault("gradient-cut-by-checkpointing", "gradients end at the last layer that is computed again, and reach nothing"
          " below it", Plan(cut=True), ("weights.residual",), "untrained-part", _checkpoints),
    Fault("chunks-averaged", "the loss is computed in chunks of 16 positions, each averaged by itself",
          Plan(level="chunk"), (_MEANS,), "loss-in-pieces", both(unseen.fused, _uneven)),
    Fault("ignored-positions-counted", "the loss of a micro-batch is divided by all of its positions, those that are"
          " ignored as well", Plan(level="position"), (_MEANS,), "loss-in-pieces", both(unseen.fused, _uneven)),
    Fault("auxiliary-scaled-by-accumulation", "the router's load-balancing loss is added up over the micro-batches,"
          " not averaged", Plan(auxiliary="GA"), _AUXILIARY, "auxiliary-loss", both(unseen.balances, _at_least(2))),
    Fault("auxiliary-scaled-by-world-size", "the router's load-balancing loss is added up over the ranks, not averaged",
          Plan(auxiliary="world"), _AUXILIARY, "auxiliary-loss", both(unseen.balances, _many_ranks)),
    Fault("auxiliary-missing", "the router's load-balancing loss is not added to the loss",
          Plan(auxiliary="0"), _AUXILIARY, "auxiliary-loss", unseen.balances),
)  # fmt: skip

CATALOGUE: dict[str, Fault] = {
    fault.name: fault for fault in (*_FAULTS, *model_faults.FAULTS, *objective_faults.FAULTS)
}


def plan(name: str | None) -> Plan:
    """The plan of a fault, of several with + between their names, or the right one. Of what two change, the later one
    counts. Raises KeyError for a name that is not in the catalogue."""
    changed: dict[str, Any] = {}
    for fault in [] if name is None else name.split("+"):
        own = CATALOGUE[fault].plan
        changed |= {
            f.name: getattr(own, f.name) for f in fields(Plan) if getattr(own, f.name) != getattr(RIGHT, f.name)
        }
    return replace(RIGHT, **changed)
