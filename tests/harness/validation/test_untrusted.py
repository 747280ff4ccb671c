"""Configurations that anybody may have written: each is read, or refused in one line; none is run, and none tells a
secret."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.validation.read import bounded, redaction, shell
from harness.validation.read.bounded import BadConfiguration
from harness.validation.record import Plan
from reports.validation import markdown
from tests.fuzzing import examples
from tests.harmless import hidden
from tests.harness.validation import written
from tests.reports.validation import made

pytestmark = pytest.mark.fuzz

SETTINGS = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False), st.text(max_size=20),
    st.sampled_from(["auto", "1e-5", "0", "-1", "1e400", "cosine", "polynomial", "bf16", "../x.json", "\x1b[m"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
BASES = (written.FACTORY, written.TRL, written.AXOLOTL)
KEYS = sorted({
    *written.FACTORY, *written.TRL, *written.AXOLOTL, "deepspeed", "optim", "max_grad_norm", "adam_beta1", "power",
    "average_tokens_across_devices", "lr_scheduler_kwargs", "label_smoothing_factor", "num_train_epochs", "hub_token",
})  # fmt: skip


def refused_or_told(*words: str, **given: Any) -> Plan | None:
    try:
        told = written.of(*words, **given)
    except BadConfiguration as error:
        said = str(error)
        assert said
        assert "\n" not in said
        assert len(said) < 2000
        return None
    assert all(row.word for row in told.ledger)
    shown = made.shown(told)
    assert not hidden(shown)
    assert markdown.page(told)
    return told


@example(written.FACTORY, {"lr_scheduler_type": "\x1f"})
@SETTINGS
@given(st.sampled_from(BASES), st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=12), VALUES, max_size=5))
def test_any_values(base: Mapping[str, Any], changed: dict[str, Any]) -> None:
    """Every key has one word, and no other has one."""
    values = {**base, **changed}
    with tempfile.TemporaryDirectory() as folder:
        told = refused_or_told(str(written.file(Path(folder), "x.yaml", values)), rows=1000)
    if told is not None:
        assert len([row for row in told.ledger if row.source == "x.yaml"]) == len(values)


@SETTINGS
@given(VALUES, VALUES, VALUES)
def test_any_engine(optimizer: Any, scheduler: Any, other: Any) -> None:
    engine = {
        **written.ENGINE,
        "optimizer": optimizer,
        "scheduler": {"type": "WarmupDecayLR", "params": scheduler},
        "x": other,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = written.file(folder, "x.yaml", written.FACTORY)
        refused_or_told(str(base), beside=(written.file(folder, "ds.json", engine),), rows=10)


@SETTINGS
@given(st.text(max_size=300) | st.binary(max_size=300))
def test_any_text(text: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.yaml", "x.json", "x.sh"):
            place = Path(folder) / name
            place.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
            refused_or_told(*(["bash", str(place)] if name.endswith("sh") else [str(place)]))


@SETTINGS
@given(st.lists(st.sampled_from([
    "torchrun", "python", "-m", "openrlhf.cli.train_sft", "verl.trainer.sft_trainer", "trl", "sft", "swift", "--x",
    "--lr=1", "optim.lr=1e-5", "optim.lr=-1", "--learning_rate", "0", "nan", "x.py", "--train_batch_size", "7",
    "--adam_betas", "0.9", "accelerate", "launch", "--deepspeed", "--bf16", "A=b", "env", "bash", "-c", "\x00", "",
]) | st.text(max_size=10), max_size=9))  # fmt: skip
def test_any_words(words: list[str]) -> None:
    refused_or_told(*words)


@SETTINGS
@given(st.lists(st.sampled_from([
    "A=1", "B=$A$A", "A=$B$B$B", "C=$(ls)", "D=${E:-x}", "if [ 1 ]; then", "fi",
    "torchrun --nproc_per_node $A x.py \\", "--lr $C", "read -r -d '' X <<EOF", "EOF",
    "L=(--a 1", ")", "python x.py \"${L[@]}\"", "F=$((A/0))",
    "G=$((A*A))", "'", "# x", "$X", "`x`",
]), max_size=14))  # fmt: skip
def test_any_script(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "x.sh"
        place.write_text("\n".join(lines))
        refused_or_told("bash", str(place))


SECRET = "hf_abcdefghijklmnopQRST"


@pytest.mark.parametrize("key", ["hub_token", "hf_hub_token", "wandb_api_key", "password", "my_secret", "output_dir"])
def test_no_secret_is_told(tmp_path: Path, key: str) -> None:
    """Neither by its name nor by its look, wherever it stands."""
    told = written.of(
        str(
            written.file(
                tmp_path, "x.yaml", {**written.TRL, key: SECRET, "report_to": [{"url": f"https://me:{SECRET}@x"}]}
            )
        )
    )
    assert SECRET not in told.model_dump_json() + markdown.page(told) + made.shown(told)
    assert written.row(told, key).value == redaction.REDACTED


def test_a_key_given_as_a_switch_is_none(tmp_path: Path) -> None:
    """OpenRLHF's --use_wandb has the key for its value."""
    told = written.of("deepspeed", "--module", "openrlhf.cli.train_sft", "--use_wandb", "0123456789abcdef")
    assert written.row(told, "use_wandb").value == redaction.REDACTED


@SETTINGS
@given(
    st.sampled_from(["eos_token", "tokenizer_type", "max_token_len_per_gpu", "data.input_key"]),
    st.sampled_from(["<|im_end|>", 2048]),
)
def test_what_is_called_alike_is_no_secret(key: str, value: Any) -> None:
    assert redaction.value(key, value) == value


BOMB = "\n".join(["a: &a [1]", *(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefg"))])
"""Few lines, and half a million values."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2", "is no YAML: line 1"),
        ("a: 1\na: 2", "stands there twice"),
        ("- 1", "holds no keys"),
        ("a: " + "[" * 100 + "]" * 100, "nested too deeply"),
        ("a: &a [*a]", "nested too deeply"),
        (BOMB, "more than"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
        ("a: !!int x", "a"),
    ],
)  # fmt: skip
def test_what_is_no_configuration(text: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said) as refusal:
        bounded.parsed(text.encode(), "x.yaml", as_json=False)
    assert "\n" not in str(refusal.value)


def test_numbers_are_numbers() -> None:
    """As frameworks read them, which know more of YAML than PyYAML: 1e-5 is one."""
    values = bounded.parsed(b"a: 1e-5\nb: 2\nc: 2.0E-5\nd: 2026-01-01\ne: .5\nf: '3'", "x", as_json=False)
    assert values == {"a": 1e-5, "b": 2, "c": 2e-5, "d": "2026-01-01", "e": 0.5, "f": "3"}


def test_too_much(tmp_path: Path) -> None:
    place = tmp_path / "x.yaml"
    place.write_text("a: 1\n" * 2_000_000)
    for words in ([str(place)], ["bash", str(place)]):
        with pytest.raises(BadConfiguration, match="more than 512 KiB"):
            written.of(*words)


def test_a_variable_does_not_grow_without_end(tmp_path: Path) -> None:
    place = tmp_path / "x.sh"
    place.write_text("A=aaaaaaaaaa\n" + "A=$A$A$A$A\n" * 30 + "torchrun x.py $A")
    with pytest.raises(BadConfiguration, match="more than 20000 characters"):
        shell.read(place, {}, [])


def test_nothing_outside_of_what_is_given_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    written.file(tmp_path, "ds.json", {"gradient_clipping": 77.0})
    (tmp_path / "in" / "link.json").symlink_to(tmp_path / "ds.json")
    for name in ("../ds.json", str(tmp_path / "ds.json"), "link.json"):
        told = written.of(str(written.file(tmp_path / "in", "x.yaml", {**written.TRL, "deepspeed": name})))
        assert told.missing
        assert "77" not in json.dumps([part.model_dump() for part in told.step])


def test_a_file_that_is_typed_may_lie_anywhere_and_one_that_a_script_names_not(tmp_path: Path) -> None:
    sft = str(written.file(tmp_path, "sft.yaml", written.TRL))
    assert written.of("trl", "sft", "--config", sft).family == "trl"
    (tmp_path / "in").mkdir()
    script = tmp_path / "in" / "run.sh"
    script.write_text(f"trl sft --config {sft}\n")
    with pytest.raises(BadConfiguration, match="no such file here"):
        written.of("bash", str(script))
    for odd in (tmp_path / "none.yaml", tmp_path / "in"):
        with pytest.raises(BadConfiguration, match="it is no file"):
            written.of("trl", "sft", "--config", str(odd))
