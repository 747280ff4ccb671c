"""Inputs as they come, and not as they should: a clear line each, or the right reading. Bash says what is right."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.validation import capture
from harness.validation.read import launching
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.launching import Launched
from tests.fuzzing import examples
from tests.harness.validation import written
from tests.harness.validation.written import row

PLAIN = "model_name_or_path: m\nlearning_rate: 1e-5\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        f"%YAML 1.1\n---\n{PLAIN}...\n".encode(),
        f"common: &c\n  learning_rate: 1e-5\n<<: *c\n{PLAIN}".encode(),
        b"model_name_or_path: m\nlearning_rate: '1e-5'\n",
        b"{model_name_or_path: m, learning_rate: !!float 1e-5}",
    ],
)
def test_a_file_that_can_be_read(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "X.YAML"
    place.write_bytes(content)
    assert written.part(written.of(str(place)), "learning rate").configured == "1e-05"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.yaml", PLAIN.encode("utf-16"), "it is UTF-16, expected UTF-8"),
        ("x.json", '{"learning_rate": 1}'.encode("utf-16"), "it is UTF-16, expected UTF-8"),
        ("x.yaml", PLAIN.encode() + b"a: \xe9t\xe9\n", "it is no UTF-8, by its byte"),
        ("x.json", b'\xef\xbb\xbf{"model_name_or_path": "m"}', "Unexpected UTF-8 BOM"),
        ("x.yaml", PLAIN.encode() + b"a: x\0y\n", "unacceptable character #x0000"),
        ("x.yaml", f"{PLAIN}args:\n\ta: 1\n".encode(), "line 4: found character"),
        ("x.yaml", f"{PLAIN}---\na: 1\n".encode(), "line 3: but found another document"),
        ("x.yaml", b"model_name_or_path:m\nlearning_rate:1\n", "holds no keys"),
        ("x.yaml", b"", "holds no keys"),
        ("x.yaml", b"# nothing\n", "holds no keys"),
        ("x.yaml", b"model_name_or_path: {{ model }}\nlearning_rate: 1\n", "is no YAML: line 1"),
        ("x.yaml", b"model_name_or_path: m\nlearning_rate: $LR\n", r"learning_rate is '\$LR', expected a number"),
        ("x.yaml", b"model_name_or_path: m\nlearning_rate: .nan\n", "expected a number"),
        ("x.yaml", b"model_name_or_path: m\nlearning_rate: [1e-5]\n", "expected a number"),
        ("x.json", b'{"model_name_or_path": "m", "learning_rate": NaN}', "NaN is no number of JSON"),
        ("x.json", b'{\n // mine\n "model_name_or_path": "m"\n}', "line 2 column 2"),
        ("x.json", b'{"model_name_or_path": "m",}', "it is not JSON"),
        ("x.json", b'{"a": 1, "a": 2}', "the key 'a' stands there twice"),
        ("x.toml", b"learning_rate = 1\n", "ends in .yaml, .yml or .json"),
        ("x.py", b"print(1)\n", "give the command that starts it"),
        ("x.sh", "torchrun x.py".encode("utf-16"), "no file that is read"),
    ],
)
def test_a_file_that_cannot_is_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    place = tmp_path / name
    place.write_bytes(content)
    with pytest.raises(BadConfiguration, match=said) as refusal:
        written.of(str(place))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "missing"])
@pytest.mark.parametrize("before", [(), ("bash",), ("llamafactory-cli", "train")])
def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, before: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.yaml").mkdir()
    os.mkfifo("pipe.yaml")
    Path("loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(BadConfiguration, match="cannot be read") as refusal:
        written.of(*before, f"{kind}.yaml")
    assert "\n" not in str(refusal.value)


SCRIPTS = {
    "a list": 'ARGS=(--learning_rate 1e-5 --output_dir "a b")\ntorchrun x.py "${ARGS[@]}"\n',
    "a list in lines": 'ARGS=(\n  --lr 1 # the rate\n\n  --output_dir "a b"\n)\ntorchrun x.py "${ARGS[@]}"\n',
    "a list that grows": "A=(--lr 1)\nA+=(--max_steps 3)\nA+=( '--run_name' 'a b' )\ntorchrun x.py \"${A[@]}\"\n",
    "the first of a list": "A=(--lr 1 '2 3')\ntorchrun x.py $A --seed ${A[1]} --run_name \"${A[2]}\" ${A[7]}\n",
    "a text with quotes as a list": "A='--lr 1 '\ntorchrun x.py --run_name \"${A[@]}\" \"$A\"\n",
    "a list with what it had": 'A="a b"\nA+=(--lr 1)\ntorchrun x.py --run_name "${A[@]}"\n',
    "a text that grows": 'A="--lr 1"\nA+=" --max_steps 3"\nA="$A --seed 1"\ntorchrun x.py $A\n',
    "a declared list": 'declare -a A=(--lr 1)\ntorchrun x.py "${A[@]}"\n',
    "a branch that adds": 'A=(--lr 1)\nif false; then\n  A+=(--bf16)\nfi\ntorchrun x.py "${A[@]}"\n',
    "a test that assigns": "LR=1\n[ -n '' ] && LR=2\ntorchrun x.py --lr $LR\n",
    "an end that assigns": "LR=1\ntrue || LR=2\ntorchrun x.py --lr $LR\n",
    "a line that assigns": "N=8; G=$((128/N/2)); export M=$G; torchrun x.py --lr $G --seed $M\n",
    "a sum that changes": "G=8\n((G=G*2))\ntorchrun x.py --lr $G\n",
    "let": "G=8\nlet G=G*2\ntorchrun x.py --lr $G\n",
    "read": "G=8\nread G <<< 9\ntorchrun x.py --lr $G\n",
    "a function": "train() {\n  local lr=$1\n  torchrun x.py --lr $lr\n}\ntrain 1e-5\n",
    "a function in a line": "train() { torchrun x.py --lr $1; }\ntrain 1e-5\n",
    "function": "function train {\n  torchrun x.py --lr \"$1\"\n}\ntrain 1e-5\n",
    "behind a function": "usage() {\n  echo $1\n}\ntorchrun x.py --lr $1\n",
    "a loop": "for lr in 1 2; do\n  torchrun x.py --lr $lr\ndone\n",
    "a loop over one": "lr=9\nfor lr in 1; do\n  torchrun x.py --lr $lr\ndone\n",
    "a loop over what there was": "lr=9\nfor lr in 1 2; do :; done\ntorchrun x.py --lr $lr\n",
    "while": "n=3\nwhile [ $n -gt 0 ]; do\n  n=$((n-1))\ndone\ntorchrun x.py --lr $n\n",
    "a case": "case $1 in\n  7) LR=1 ;;\n  *) LR=2 ;;\nesac\ntorchrun x.py --lr $LR\n",
    "shift": "LR=$1\nshift\ntorchrun x.py --lr $LR \"$@\"\n",
    "set": "set -- 5 6\ntorchrun x.py --lr $1\n",
    "a text": "cat > notes.txt <<EOF && true\ntorchrun y.py it's\nEOF\ntorchrun x.py --lr 1\n",
    "two texts": "cat <<A <<'B'\ntorchrun y.py\nA\ntorchrun z.py\nB\ntorchrun x.py --lr 1\n",
    "a text with tabs": "cat <<-EOF\n\ttorchrun y.py\n\tEOF\ntorchrun x.py --lr 1\n",
    "what looks like a text": "echo \"<<EOF\" $((1<<4)) && torchrun x.py --lr 1\n",
    "a text that is read": "L=3\nread -r -d '' C <<EOF\nx.py --lr $L \\\n --seed 1\nEOF\ntorchrun $C\n",
    "a text that is read as it is": "L=3\nread -r -d '' C <<'EOF'\nx.py --lr $L\nEOF\ntorchrun $C\n",
    "defaults": "torchrun x.py --lr ${LR:-1} --max_steps ${STEPS:=3} --seed ${S-4} --x $STEPS\n",
    "a default that is set": ': "${STEPS:=3}"\ntorchrun x.py --max_steps $STEPS\n',
    "an empty default": 'E=\ntorchrun x.py --lr ${E:-1} --seed "${E-4}" --max_steps 3\n',
    "what is put in": "D=1\nE=\ntorchrun x.py ${D:+--bf16} ${E:+--fp16} --lr 1\n",
    "pieces of a path": "P=a/b.c.yaml\ntorchrun x.py --a ${P%.*} --b ${P%%.*} --c ${P#*/} --d ${P##*.} --e ${P%x}\n",
    "a comment between": "torchrun x.py \\\n --lr 1 \\\n # --seed 3 \\\n --max_steps 3\n",
    "a comment in quotes": "torchrun x.py \\\n --lr 1 `# the rate` \\\n --max_steps 3\n",
    "a space behind": "torchrun x.py --lr 1 \\ \n --max_steps 3\n",
    "the last backslash": "torchrun x.py \\\n --max_steps 3 \\",
    "a command in a variable": 'C="torchrun x.py --lr 1"\necho $C\neval $C\n',
    "a shell in words": 'L=2\nbash -c "torchrun x.py --lr $L"\n',
    "a shell behind srun": "srun -N 2 bash -lc 'cd . && torchrun x.py --lr 1'\n",
    "a subshell": "(cd . && torchrun x.py --lr 1)\n",
    "a subshell that assigns": "LR=1\n(LR=2; true)\ntorchrun x.py --lr $LR\n",
    "a group": "{ torchrun x.py --lr 1; } 2>&1 | tee log\n",
    "quotes in quotes": "X=1\ntorchrun x.py --a \"it's $X\" --b \"that's $X\" --c 'no $X' --d \\\"$X\\\"\n",
    "quotes with a dollar": "torchrun x.py --eos $'<|end|>\\n' --lr 1\n",
    "json": "torchrun x.py --a '{\"b\": 1e-6}' --c \"{\\\"d\\\": 2}\"\n",
    "its variables": "A=1 NNODES=2 torchrun x.py --lr 1\n",
    "unset": "LR=1\nunset LR\ntorchrun x.py --lr ${LR:-2}\n",
    "a source": "LR=1\nsource ./env.sh\ntorchrun x.py --lr 1\n",
}  # fmt: skip
UNREAD = {
    "a branch that adds", "a test that assigns", "an end that assigns", "a sum that changes", "let", "read",
    "a function", "a function in a line", "function", "a loop", "a loop over what there was", "while", "a case", "set",
    "a subshell that assigns", "unset",
}  # fmt: skip
"""Those of which a reader cannot be sure: it says so."""


def script(folder: Path, text: str) -> str:
    place = folder / "run.sh"
    place.write_text(text)
    return str(place)


def by_reading(place: str, *arguments: str) -> Launched | None:
    try:
        return launching.launched(["bash", place, *arguments])
    except BadConfiguration:
        return None


def by_bash(place: str, *arguments: str) -> Launched | None:
    """A word that is a space is one too many, which is told of the script itself."""
    try:
        found = launching.launched(capture.run(["bash", place, *arguments]).words)
    except BadConfiguration:
        return None
    return replace(found, words=tuple(word for word in found.words if word != " "))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read_as_bash_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("env.sh").write_text("LR=2\n")
    place = script(tmp_path, SCRIPTS[name])
    read, run = by_reading(place, "7"), by_bash(place, "7")
    assert run is not None
    assert (read is None) == (name in UNREAD)
    if read is not None:
        assert (read.program, read.words, read.launcher) == (run.program, run.words, run.launcher)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a comment between", "run.sh:4: --max_steps begins a command of its own"),
        ("a space behind", "run.sh:2: --max_steps begins a command of its own"),
        ("a source", "run.sh:2 sources ./env.sh, which is not read"),
    ],
)
def test_what_nobody_may_have_meant_is_told(tmp_path: Path, name: str, said: str) -> None:
    told = written.of("bash", script(tmp_path, SCRIPTS[name]))
    assert said in told.odd[0]


def test_a_script_with_line_ends_of_windows(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_bytes(b"LR=1e-5\r\ntorchrun x.py \\\r\n --learning_rate $LR\r\n")
    told = written.of("bash", str(tmp_path / "run.sh"))
    assert row(told, "learning_rate").value == "1e-05"
    assert "line ends of Windows" in told.odd[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torchrun x.py --a 'x\n", "run.sh:1 cannot be read as a command: what it opens is never closed"),
        ("echo\nA=(1\ntorchrun x.py\n", "run.sh:2 cannot be read as a command"),
        ("torchrun x.py --a x\0y\n", "has NUL bytes"),
        ("bash inner.sh 3\n", "starts no training that is known; --capture runs it and sees"),
        ("torchrun x.py --run_name $(date +%s)\n", "or let --capture run it"),
        ("bash -c 'bash -c \"bash -c \\\"bash -c torchrun\\\"\"'\n", "starts no training|no training is seen"),
    ],
)  # fmt: skip
def test_a_script_that_cannot_be_read_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said) as refusal:
        written.of("bash", script(tmp_path, text))
    assert "\n" not in str(refusal.value)


LINES = [
    "A=1", "A=2; B=$A", "A+=3", "B=${A:-9}", "A=${B:+4}", "C=(--x $A)", "C+=(--y 'a b')", "if [ 1 = 2 ]; then", "fi",
    "if true; then A=5; fi", "for A in 6; do :; done", "for A in 6 7; do :; done", "f() {", "}", "f 8", "shift",
    "B=$1", "[ 1 = 2 ] && A=10", "true && A=11", "false || B=12", "(A=13)", "{ A=14; }", "unset A", "((A=15))",
    "A=$((A+1))", "cat <<EOF", "EOF", "# A=16", "export A=17 B=18", "A='x' B=\"y $A\"", "C=\"--z ${B%?}\"", "true \\",
]  # fmt: skip


@pytest.mark.fuzz
@settings(max_examples=examples(12), deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=7))
def test_whatever_is_read_of_a_script_is_what_bash_makes_of_it(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join([*lines, 'torchrun x.py --a "$A" --b "$B" "${C[@]}"', ""])
        place = script(Path(folder), text)
        read = by_reading(place, "19", "20")
        run = by_bash(place, "19", "20") if read is not None else None
        if read is not None and run is not None:
            assert read.words == run.words
