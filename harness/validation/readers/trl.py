"""TRL: `trl sft`, its script, and scripts of others that take its arguments, as YAML, JSON or a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.intent.intent import TokenLoss, Trained
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read import redaction
from harness.validation.read.configuration import Configuration
from harness.validation.readers import trainer
from harness.validation.step import effective
from harness.validation.step.effective import Effective

PACKAGES = ("trl",)
NAMES: Mapping[str, str] = {}
PROGRAMS = ("trl sft", "trl/scripts/sft.py", "trl.scripts.sft", "examples/scripts/sft.py")

TEMPLATES = ("chat_template", "chat_template_path", "eos_token")
_BOTH = "the completion alone where the dataset has prompt and completion, else all tokens, prompts too"


def is_file(values: Mapping[str, Any]) -> bool:
    """Whether a file's keys are those of a Trainer with a model beside them."""
    return "model_name_or_path" in values or "per_device_train_batch_size" in values


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """Raises BadConfiguration."""
    found = trainer.step(options, below, ranks)
    trained, why = _trained(options)
    most = longest(options)
    kept = "the end kept" if options.value("truncation_mode") == "keep_end" else "the start kept"
    because = {
        **found.because,
        "trained": why,
        "token loss": options.by("loss_type", "label_smoothing_factor"),
        "long rows": options.by(_limit(options), "truncation_mode"),
        "turns": options.by(*[key for key in TEMPLATES if options.said(key)] or TEMPLATES),
    }
    loss = TokenLoss(found.token_loss.label_smoothing, options.value("loss_type") == "dft")
    cut = f"cut to {most} tokens, {kept}" if most is not None else "not cut"
    return replace(
        found, trained=trained, because=because, token_loss=loss, longest=most, too_long=cut, turns=_turns(options)
    )


def longest(options: Options) -> int | None:
    """Tokens of a row at most; None where none is cut. Releases differ in the option's name."""
    found = options.value(_limit(options))
    return found if isinstance(found, int) and found > 0 else None


def _limit(options: Options) -> str:
    own = () if options.release is None else options.release.options
    return "max_length" if "max_length" in own else "max_seq_length"


def _is_plain(options: Options) -> bool:
    """Whether rows are texts, to which no template is applied; of the user's own rows the first one tells."""
    data = options.configuration.data
    if data is not None and data.rows:
        return not any(isinstance(value, list) for value in data.rows[0].values())
    return options.truth("completion_only_loss") or options.said("dataset_text_field")


def _turns(options: Options) -> str:
    if _is_plain(options):
        return effective.PLAIN
    template = (
        "the chat template that is given" if any(map(options.said, TEMPLATES[:2])) else "the model's own template"
    )
    ended = f", the EOS {redaction.line(str(options.value('eos_token')), 40)}" if options.said("eos_token") else ""
    return f"by {template}{ended}"


def has_completions(configuration: Configuration) -> bool:
    """Whether the user's own rows are prompts with completions, of which SFTTrainer trains the completions."""
    data = configuration.data
    return data is not None and {"prompt", "completion"} <= set(data.columns)


def _trained(options: Options) -> tuple[Trained, str]:
    """By SFTTrainer: `assistant_only_loss`, else by the columns of the dataset unless `completion_only_loss` says."""
    if options.truth("assistant_only_loss"):
        return "responses", options.by("assistant_only_loss")
    if options.said("completion_only_loss"):
        return ("responses" if options.truth("completion_only_loss") else "everything"), options.by(
            "completion_only_loss"
        )
    if has_completions(options.configuration):
        return "responses", "the columns prompt and completion of your own rows, of which TRL trains the completion"
    return "everything", f"neither assistant_only_loss nor completion_only_loss is said: {_BOTH}"
