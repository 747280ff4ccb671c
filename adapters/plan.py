"""How the torch reference goes about a step: right, or wrong as planned. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from adapters.contract import LastWindow, Scenario


@dataclass(frozen=True)
class Plan:
    """How the reference loop goes about a step. The defaults are right."""

    keep: Literal["all", "first-and-last", "first", "last"] = "all"
    level: Literal["token", "micro-batch", "rank", "micro-step", "row", "chunk", "position"] = "token"
    """Of what averages are averaged; `position`: micro-batches, each over all of its positions, ignored ones too."""
    objective: Literal[
        "right",
        "raw-rewards",
        "other-group",
        "batch-baseline",
        "other-scale",
        "unclipped",
        "clip-the-other-side",
        "ratio-of-one",
        "other-ratio",
        "divergence-twice",
        "divergence-left-out",
        "divergence-subtracted",
        "reference-drifts",
        "truncated-counted",
        "pairs-swapped",
        "mean-log-ratios",
        "sigmoid-for-square",
        "reference-left-out",
        "preferences-unsmoothed",
        "demonstrations-as-samples",
        "sft-left-out",
    ] = "right"
    """What is wrong with an objective beyond supervised training (`adapters.policy`)."""
    graph: Literal["right", "first-shape", "lost-at-recompile"] = "right"
    """What a compiled graph does with other lengths than those of the first micro-batch: what lies behind that one's
    has no loss, or the first micro-batch of another length leaves no gradient."""
    scale: Literal["1", "GA", "1/GA", "world", "old-world"] = "1"
    mask: Literal[
        "right",
        "responses",
        "last-answer",
        "everything",
        "no-eos",
        "no-first",
        "shifted",
        "late",
        "with-tag",
        "no-padding-id",
        "into-next",
    ] = "right"
    """Which tokens are trained. `no-padding-id`: the right ones whose id is not that of padding; `into-next`: the right
    ones, and the first token of every row that stands behind another one in its sequence; the others are made of the
    responses, whatever the scenario asks for."""
    packer: Literal["right", "drops", "doubles", "joins", "overfills"] = "right"
    """Whether the rows that are packed into sequences are all rows once, or the last row of a sequence is left out or
    comes twice; `joins`: the first two sequences are one, longer than it may be; `overfills`: micro-batches by tokens
    have up to twice as many."""
    mixture: Literal["right", "lacking", "doubling", "in-turn", "concatenated"] = "right"
    """How rows of several datasets are put together: one behind the other, without the second, with that twice, or in
    turn until the first of them ends; `concatenated`: one behind the other, whatever is asked for. As planned only
    where that can be seen."""
    tokens: Literal["right", "bos-twice", "no-bos", "no-system"] = "right"
    """How rows become tokens."""
    clip: Literal["right", "none", "per-rank", "per-shard", "before-averaging"] = "right"
    """`per-shard`: as if parameters were sharded by their first dimension, each shard by its own norm."""
    replicas: Literal["right", "apart", "twice"] = "right"
    """Averaging over two halves of the ranks that hold all shards each: not done between them, or done once more."""
    reported_norm: Literal["right", "shard"] = "right"
    """Of the whole gradient, or of the first rank's shard of it."""
    stepped: Literal["parameters", "copies"] = "parameters"
    """What the optimizer holds: `copies` are of before the model was wrapped, and have no gradient."""
    decay: Literal["right", "all", "matrices", "others"] = "right"
    """What decays; `others` is all but the matrices."""
    one_rate: bool = False
    """Groups with a rate of their own have that of the rest."""
    schedule_shift: int = 0
    schedule_speed: Literal["1", "GA", "world"] = "1"
    """How often the schedule moves in an optimizer step."""
    schedule: Literal["right", "no-least", "no-warmup", "from-first", "horizon-in-micro-batches", "engine"] = "right"
    """`engine`: DeepSpeed's WarmupLR, whatever is asked for: a logarithmic warm-up, a step late, and no fall."""
    reported_shift: int = 0
    """The learning rate is reported of so many steps later, whichever the step has."""
    zero_first_step: bool = False
    beta1: float | None = None
    beta2: float | None = None
    eps: float | None = None
    momentum: Literal["right", "forgotten", "dampened", "nesterov", "0.8"] = "right"
    """SGD's: set to 0 before every step, or with a dampening of 0.3, or as Nesterov has it, or 0.8."""
    squares: Literal["right", "forgotten", "0.9"] = "right"
    """Where an optimizer holds these alone: set to 0 before every step, or RMSprop's with an alpha of 0.9."""
    decoupled: bool = False
    """SGD decays as AdamW does: parameters by themselves, and not by way of its momentum."""
    idle_first_step: bool = False
    """The optimizer steps once with a zero gradient before the training."""
    last_rank_alone: bool = False
    """The last rank steps with its own gradient instead of the average."""
    repeat_row: bool = False
    """The second micro-batch is the first one again."""
    attention: Literal["apart", "leaking"] = "apart"
    positions: Literal["restarting", "running-on"] = "restarting"
    accumulator: Literal["fp32", "bf16"] = "fp32"
    reduction: Literal["right", "bf16", "fp32"] = "right"
    """What gradients are averaged over the ranks in."""
    masters: Literal["fp32", "bf16"] = "fp32"
    """What parameters are rounded to after every step."""
    zero_grad: bool = True
    l2: float = 0.0
    """Added to the gradient, times the parameters: decay that is not decoupled."""
    smoothing: Literal["right", "none", "twice", "unasked"] = "right"
    """How much labels are smoothed; `unasked`: by 0.1, whatever is asked for."""
    smoothed_over: Literal["trained", "everything", "micro-batch"] = "trained"
    """What the smoothed part is averaged over: as the loss is, over prompts as well, or by micro-batch."""
    token_weight: Literal["right", "one"] = "right"
    shifted: bool = True
    """Whether logits are held against the token behind the one that they were made from, or that one itself."""
    lora_scale: Literal["right", "twice", "plain", "none"] = "right"
    """What low-rank updates are multiplied by: as the model has it, by that twice, by alpha / rank whatever it has, or
    by 0."""
    left_merged: bool = False
    """After the first step low-rank updates are added to the matrices that they belong to, and stay beside them."""
    thawed: bool = False
    """What should not be trained is trained as well."""
    cut: bool = False
    """Gradients end in the last layer: none reach the layers below it."""
    stuck: str | None = None
    """A shell pattern of names of parameters that are not trained, though they should be."""
    tied_part: Literal["both", "input", "head"] = "both"
    """Where the gradient of an embedding that is also the head comes from."""
    padding_row: Literal["learns", "frozen"] = "learns"
    """Of the embedding, that of the token that rows are padded with."""
    softmax: Literal["whole", "tokenizer"] = "whole"
    """Over which logits it is taken: all, or those of the tokenizer's vocabulary."""
    head_rows: Literal["all", "tokenizer", "even"] = "all"
    """Which rows of the head have a gradient: all, those of the tokenizer's vocabulary, or a multiple of the ranks,
    which those of the embedding have as well then."""
    softcap: bool = True
    """Whether scores of attention are capped as the model has it."""
    auxiliary: Literal["1", "0", "GA", "world"] = "1"
    """What the load-balancing loss of a router is multiplied by, beside its coefficient."""
    scaling: Literal["right", "not-undone", "undone-after-clipping", "overflow-ignored", "overflow-alone"] = "right"
    """What becomes of the scale of the loss, and of a gradient that overflows under it. `overflow-alone`: the last rank
    skips the step, the others make it."""
    empty: Literal["right", "window-lost"] = "right"
    """What becomes of a window that has a micro-batch with nothing to train: `window-lost`: its mean is NaN, and the
    gradient of the whole window is set to zero for it."""
    row_factor: tuple[int, float] | None = None
    """A row of the scenario and what the weights of its tokens are multiplied by: the yardstick of sensitivity."""
    full_divisor: bool = False
    """The last window of an epoch is divided as if it had as many micro-batches as the others."""
    carry_gradient: bool = False
    """There is no optimizer step at the end of an epoch: a partial window's gradient stays for the next one."""
    last_window: LastWindow | None = None
    """What becomes of an epoch's last rows, instead of what should."""
    only_shared: bool = False
    """Rows beyond a multiple of the ranks are left out of every epoch."""
    as_given: bool = False
    """Rows come in the given order, whichever is to be drawn."""
    ungrouped: bool = False
    """Rows that are to be grouped by length are shuffled."""
    one_order: bool = False
    """Every epoch has the order that was drawn for the first."""
    forgets: Literal["nothing", "schedule", "moments", "masters", "parameters"] = "nothing"
    """What a run that goes on from a checkpoint does not take from it; of masters, all but what bfloat16 holds; of
    parameters, the half that comes last."""
    resumed_rows: Literal["right", "anew", "skipping", "an-epoch-on", "by-new-window"] = "right"
    """Which rows a run that goes on has: those of the first step on, those of a step too far, those of an epoch too
    far, so that it ends too early, or those behind as many steps of the ranks that go on."""
    divisor: float | None = None
    """What the sum of all trained tokens' losses is divided by, instead of averaging them in any way."""
    noise: Literal["right", "none", "batch", "undivided", "unasked", "repeated"] = "right"
    """Of the embedding: none, divided by the root of a whole micro-batch's tokens, not divided, added though nobody
    asks for it, or the same in every micro-batch."""
    device_copy: Literal["fresh", "stale"] = "fresh"
    """What forward and backward passes compute with: the parameters, or those of the step before."""
    loaded: Literal["right", "decayed", "head-anew", "rounded"] = "right"
    """What the training begins with: the checkpoint's parameters, those after one decay, with another head, or rounded
    to bfloat16."""

    @property
    def averages_by_hand(self) -> bool:
        """Whether the average over the ranks must be taken outside of DDP for this plan."""
        by_clipping, in_halves = self.clip in ("per-rank", "before-averaging"), self.replicas == "apart"
        coarse = self.accumulator != "fp32" or self.reduction != "right"
        # DDP waits for the gradients that are cut off
        return by_clipping or in_halves or self.last_rank_alone or coarse or self.cut

    def acting(self, scenario: Scenario) -> Plan:
        """The same without what the scenario gives no occasion for: pieces of a loss that is not computed in pieces,
        graphs of what is not compiled, two groups of ranks where there are none."""
        pieces = self.level in ("chunk", "position") and scenario.loss.implementation == "own"
        groups = scenario.window.ranks >= 4 and scenario.window.ranks % 2 == 0
        return replace(
            self,
            level="token" if pieces else self.level,
            graph=self.graph if scenario.model.compiled != "none" else "right",
            replicas=self.replicas if groups else "right",
        )


RIGHT = Plan()
