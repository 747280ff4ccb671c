"""Every command that the documentation shows is one that there is; the quick ones are run here, as a reader would run
them, and each of the others names the test that runs it."""

from __future__ import annotations

import ast
import subprocess

import pytest
import typer
import typer.main

from harness import cli
from tests.docs import commands, test_objectives
from tests.docs.commands import ROOT, Command
from tests.docs.followed import RUN

BISECT = "tests/frameworks/test_bisect.py"
FIXES = "tests/frameworks/test_fixes.py"
NIGHTLY = "tests/frameworks/test_nightly.py"
NEWEST = "tests/frameworks/conftest.py::newest"
SERIES = f"{BISECT}::test_it_goes_on_where_it_was_and_finds_the_release"
BY_DATE = f"{BISECT}::test_between_two_dates_the_package_is_found"
UNDERNEATH = f"{BISECT}::test_the_package_underneath_is_found_out"
COMMITS = f"{BISECT}::test_commits_are_bisected_over_one_environment"
STOCK = "tests/frameworks/test_stock.py::test_days_on_which_a_stock_install_was_wrong"
SANDBOX = "tests/frameworks/test_isolation.py::test_a_run_in_the_sandbox_gives_the_same_bits"
SLURM_TESTS = "tests/slurm/test_run.py"
SLURM = f"{SLURM_TESTS}::test_two_cells_in_one_job"
SLURM_MORE = "tests/slurm/test_bisect.py"
RECORD_ON_SLURM = "tests/slurm/test_record.py::test_it_is_what_is_recorded_here"
MACHINES = "tests/frameworks/test_machines.py::test_the_same_bits_as_on_one_machine"
RECORD = "tests/frameworks/test_record.py"
VALIDATE = "tests/harness/commands/test_validate.py"
VALIDATED = "tests/frameworks/test_validate.py::test_a_configuration_runs_to_a_verdict_and_its_report"
JUDGE = "tests/harness/commands/test_judge.py"
SCENARIOS = "tests/frameworks/test_scenarios.py"
FUZZ = "tests/frameworks/test_fuzz.py"
FOUND_BY_FUZZ = f"{FUZZ}::test_deepspeeds_offload_bug_is_one_rank_three_micro_batches_and_one_step"
AGAINST = "tests/harness/fuzzing/test_search.py::test_what_another_release_has_too_is_not_told"
WITHOUT_A_HINT = f"{FUZZ}::test_an_old_release_is_found_wrong_and_the_scenario_made_small"
RELATIONS = "tests/frameworks/test_relations.py"
OFFLOAD_RELATION = f"{RELATIONS}::test_deepspeeds_offload_changes_the_update_until_it_is_mended"
STAIRCASES = "tests/frameworks/test_staircase.py"
STAIRCASE = "lockstep staircase --framework openrlhf==0.9.10 --fix deepspeed-offload --fix openrlhf-loss --against verl"
TRANSLATE = "tests/frameworks/test_translate.py"
TRANSLATED = "tests/harness/commands/test_translate.py"
RELEASES = dict.fromkeys(f"{one.framework}=={one.version}" for one in test_objectives.FOUND.releases)
OF_THE_TABLES = " ".join(f"--framework {release}" for release in RELEASES)
MISMATCH = "tests/frameworks/test_mismatch.py"
POLICIES = "tests/harness/commands/test_mismatch_training.py::test_a_killed_run_goes_on_and_repeats_nothing"
DETECT = "tests/frameworks/test_detect.py::test_faults_are_found_and_a_second_time_nothing_is_run"
NIGHT = f"{NIGHTLY}::test_a_quiet_night_and_one_that_lost_its_canary"

ELSEWHERE = {
    "lockstep run": NEWEST,
    "lockstep run --out DIR": NEWEST,
    "lockstep run --also deepspeed==0.18.9": f"{FIXES}::test_with_the_fix_offload_is_right",
    "lockstep run --framework trl==1.16.0,deepspeed==0.18.9 --scenario '*offload'": (
        "tests/frameworks/conftest.py::trainers"
    ),
    "lockstep run --framework deepspeed==0.19.8,transformers==4.57.3": "tests/frameworks/conftest.py::trainers",
    "lockstep run --framework deepspeed==0.15.2 --scenario sft-ragged-zero2-offload": (
        "tests/frameworks/conftest.py::older_deepspeed"
    ),
    "lockstep run --framework torch --fault mean-of-micro-batches": (
        "tests/frameworks/test_run.py::test_nothing_is_kept_of_faults_nor_in_a_damaged_history"
    ),
    "lockstep run --framework torch --scenario 'sft-ragged*' --seeds 2": (
        "tests/frameworks/test_run.py::test_what_was_measured_is_kept"
    ),
    "lockstep run --framework trl@colleague.txt --scenario sft-ragged": BY_DATE,
    "lockstep run --framework deepspeed==0.15.2 --patch deepspeed-offload": (
        f"{FIXES}::test_with_the_fix_offload_is_right"
    ),
    "lockstep run --framework deepspeed==0.15.2 --also deepspeed==0.15.2 --scenario sft-ragged-zero2-offload"
    " --patch deepspeed-offload": f"{FIXES}::test_with_the_fix_offload_is_right",
    "lockstep bisect deepspeed --scenario sft-ragged-zero2-offload": SERIES,
    "lockstep bisect deepspeed --scenario sft-ragged-zero2-offload --patch deepspeed-offload": (
        f"{BISECT}::test_the_fix_moves_the_boundary_away"
    ),
    "lockstep bisect trl==1.16.0 --vary deepspeed --scenario sft-ragged-zero2-offload": UNDERNEATH,
    "lockstep bisect trl==0.12.2,accelerate==1.11.0 --vary transformers --scenario sft-ragged": UNDERNEATH,
    "lockstep bisect trl --by-date --from 2025-06-01 --to 2025-08-15 --scenario sft-ragged": BY_DATE,
    "lockstep bisect deepspeed --repo ~/DeepSpeed --good v0.15.1 --bad v0.15.2 --scenario"
    " sft-ragged-zero2-offload": COMMITS,
    "lockstep bisect deepspeed --repo . --step --scenario sft-ragged-zero2-offload": (
        f"{BISECT}::test_git_bisect_run_finds_the_commit_that_mends_it"
    ),
    "lockstep detect --matrix smoke --fault 'keep-*' --out DIR": DETECT,
    "lockstep fuzz --framework deepspeed==0.18.9 --out DIR": WITHOUT_A_HINT,
    "lockstep fuzz --framework deepspeed==0.19.8 --corpus found --minutes 20 --out NEW": FOUND_BY_FUZZ,
    "lockstep fuzz --framework trl==1.0.0 --against trl==1.16.0 --out DIR": AGAINST,
    "lockstep run --framework deepspeed==0.18.9 --scenario DIR/dropped-micro-batches.toml": FOUND_BY_FUZZ,
    "lockstep bisect deepspeed --scenario DIR/dropped-micro-batches.toml": SERIES,
    "lockstep relate --framework deepspeed==0.18.9 --relation offload --out DIR": OFFLOAD_RELATION,
    "lockstep relate --framework openrlhf==0.10.2 --relation split-otherwise --out DIR": (
        f"{RELATIONS}::test_openrlhfs_means_depend_on_the_split"
    ),
    "lockstep relate --framework torch --fault mean-of-micro-batches --relation split-otherwise --out DIR": (
        f"{RELATIONS}::test_a_planted_fault_breaks_its_relation"
    ),
    f"{STAIRCASE} --out DIR": f"{STAIRCASES}::test_openrlhf_on_deepspeed_with_each_fix_and_verl",
    f"{STAIRCASE} --seeds 3 --out DIR": f"{STAIRCASES}::test_openrlhf_on_deepspeed_with_each_fix_and_verl",
    "lockstep staircase --framework torch --fault drop-intermediate --fault mean-of-micro-batches --out DIR": (
        f"{STAIRCASES}::test_a_killed_run_goes_on_and_tells_planted_faults_apart"
    ),
    "lockstep translate trl:grpo.yaml verl": f"{TRANSLATE}::test_trl_and_verl_make_the_same_update",
    "lockstep translate trl:dpo.yaml openrlhf==0.11.2 --method dpo --out DIR": (
        f"{TRANSLATE}::test_preferences_of_trl_are_openrlhfs"
    ),
    "lockstep translate verl:run_grpo.sh openrlhf --no-run": f"{TRANSLATED}::test_a_script_of_verl",
    "lockstep objectives DIR": f"{TRANSLATED}::test_the_tables_of_a_run",
    f"lockstep run --scenario 'dpo-*' --scenario 'grpo-*' {OF_THE_TABLES} --out DIR": NEWEST,
    "lockstep mismatch --out DIR": f"{MISMATCH}::test_every_trainer_and_engine_answers",
    "lockstep mismatch --engine transformers --engine transformers-decode --dtype float32 --dtype bfloat16 --out DIR": (
        f"{MISMATCH}::test_what_is_measured_is_not_measured_again"
    ),
    "lockstep mismatch-training --out DIR": POLICIES,
    "lockstep run --scenario mine.toml --framework llamafactory==0.9.5,liger-kernel==0.8.5,triton==3.9.0": (
        "tests/frameworks/conftest.py::liger"
    ),
    "lockstep run --framework trl --sandbox": SANDBOX,
    "lockstep run --on slurm --partition gpu --nodes 4": SLURM,
    "lockstep run --framework trl --hosts gpu1,gpu2 --ranks 8 --device cuda": MACHINES,
    "lockstep run --on slurm --framework trl --nnodes 2 --gres gpu:4 --ranks 8 --device cuda": (
        "tests/slurm/test_spread.py::test_the_same_bits_as_on_one_node"
    ),
    "lockstep run --framework torch --deterministic": (
        "tests/frameworks/test_for_devices.py::test_the_same_bits_on_request_and_memory_in_the_trace"
    ),
    "make gpu-wheels": "tests/harness/gpucheck/test_carried.py::test_every_part_is_as_it_has_to_be",
    "lockstep run --on slurm --framework trl --nodes 2 --partition gpu --gres gpu:4 --time 2:00:00 --device cuda": (
        SLURM
    ),
    "lockstep run --on slurm --envs local": "tests/slurm/test_local_envs.py::test_a_node_builds_its_environment_once",
    "lockstep bisect deepspeed --scenario sft-ragged-zero2-offload --on slurm --nodes 4": (
        f"{SLURM_MORE}::test_a_bisection_goes_on_where_it_was_interrupted"
    ),
    "lockstep nightly --on slurm --nodes 4 --jobs 2": f"{SLURM_MORE}::test_a_night_finds_its_canary_in_jobs",
    "lockstep record --on slurm --out DIR -- torchrun --nproc-per-node 2 train.py": RECORD_ON_SLURM,
    "lockstep record --on slurm --gres gpu:4 --out DIR -- torchrun --nproc-per-node 4 train.py": RECORD_ON_SLURM,
    "lockstep validate sft.yaml --on slurm --out DIR": "tests/slurm/test_validate.py::test_it_says_what_is_said_here",
    "lockstep run --sandbox": SANDBOX,
    "lockstep run --framework verl --pass-env NAME": (
        "tests/frameworks/test_isolation.py::test_a_named_variable_is_seen"
    ),
    "lockstep nightly": NIGHT,
    "lockstep nightly --sandbox": NIGHT,
    "lockstep nightly --tickets-only --ticket-command ./ticket.sh": (
        "tests/harness/commands/test_nightly.py::test_tickets_alone_are_told_without_a_night"
    ),
    "lockstep nightly --only deepspeed": NIGHT,
    "lockstep nightly --only deepspeed==0.19.8": NIGHT,
    "lockstep nightly --only deepspeed --scenario 'sft-ragged*'": NIGHT,
    "lockstep nightly --only torch --scenario sft-ragged": NIGHT,
    "lockstep nightly --pre --dir .lockstep/early --envs .envs-early": NIGHT,
    "lockstep nightly --ticket-command ./ticket.sh": f"{NIGHTLY}::test_a_finding_is_one_ticket_over_two_nights",
    'lockstep nightly --sandbox --keep-days 14 --keep-gib 6 --summary "$GITHUB_STEP_SUMMARY"': (
        "tests/harness/commands/test_nightly.py::test_a_quiet_night_is_told_in_some_lines"
    ),
    "lockstep judge DIR --like sft-ragged-decay": f"{JUDGE}::test_a_run_is_held_against_another_scenario",
    "lockstep judge DIR --intent wanted.json": f"{JUDGE}::test_a_trace_is_held_against_a_file",
    "lockstep judge DIR --describe": f"{JUDGE}::test_a_trace_is_described",
    "lockstep compare DIR DIR": "tests/harness/recordings/test_comparing.py::test_a_recording_and_itself",
    "lockstep record --out DIR -- torchrun --nproc-per-node 2 train.py": f"{RECORD}::test_a_stock_script_on_two_ranks",
    "lockstep record --out DIR -- torchrun --nproc-per-node 2 train.py --anything": (
        f"{RECORD}::test_a_stock_script_on_two_ranks"
    ),
    "lockstep record --every 200 --out DIR -- accelerate launch my_sft.py": (
        "tests/harness/recordings/test_making.py::test_every_other_step"
    ),
    "lockstep validate sft.yaml --with ds.json --world 8 --rows 100000": VALIDATED,
    "lockstep validate sft.yaml --with ds.json --world 8 --rows 100000 --out validation": VALIDATED,
    "lockstep validate sft.yaml --strict --versions requirements.txt --world 8 --rows 100000 --out validation": (
        VALIDATED
    ),
    "lockstep validate sft.yaml --data rows.jsonl": (
        "tests/frameworks/test_validate_rows.py::test_another_familys_template_is_told_of_the_tokens_that_were_trained"
    ),
    "lockstep validate --plan sft.yaml --with ds.json": f"{VALIDATE}::test_the_page_shows_what_is_said",
    "lockstep validate --plan sft.yaml learning_rate=2e-5 --with ds.json --world 8 --rows 100000": (
        f"{VALIDATE}::test_the_page_shows_what_is_said"
    ),
    "lockstep validate --plan -- torchrun --nproc_per_node 8 -m verl.trainer.sft_trainer optim.lr=1e-5": (
        f"{VALIDATE}::test_a_command_stands_behind_two_dashes"
    ),
    "lockstep validate --plan sft.yaml --device cuda": f"{VALIDATE}::test_a_plan_for_cuda_keeps_what_needs_a_gpu",
    "lockstep validate --plan -- lr=1e-5 bash run_sft.sh": f"{VALIDATE}::test_a_script_gets_a_variable",
    "lockstep validate --plan --capture -- bash run_sft.sh": (
        "tests/harness/validation/test_capture.py::test_what_a_script_reckons_is_known"
    ),
    "lockstep seal DIR": (
        "tests/lockstep_recorder/test_by_code.py::test_an_unsealed_recording_is_told_and_can_be_sealed"
    ),
    "lockstep list platforms": "tests/frameworks/test_platforms.py::test_every_newest_recipe_resolves_as_the_page_says",
    "lockstep --site /shared/lockstep.toml run": "tests/harness/commands/test_sites.py::test_a_site_file_that_is_named",
    "lockstep stock --framework openrlhf --dir DIR": STOCK,
    "lockstep stock --write docs/releases.md": STOCK,
    "lockstep run --scenario mine.toml --framework trl": f"{SCENARIOS}::test_a_scenario_in_a_file",
    "lockstep run --matrix smoke": f"{SCENARIOS}::test_the_smoke_matrix_of_the_reference",
    "make matrices": "tests/harness/matrices/test_covering.py::test_without_refusals_every_pair_is_held",
    "make run": NEWEST,
    "make check": ".ci/run::make check",
    "make test": ".ci/run::make test",
    "make test-all": ".ci/run::make test",
    "make test-fast": ".ci/run::make test",
    "make clean-cells": "tests/frameworks/test_clean.py::test_tied_embeddings_in_bf16_raise_no_false_alarm",
    "make kills": "tests/kills/test_kills.py::test_nothing_is_left_and_nothing_lost",
    "make fuzz": "tests/harness/traces/test_mutants.py::test_no_mutant_passes_that_changed_what_is_judged",
    "make bench": "tests/frameworks/test_bench.py::test_what_is_written",
}
"""Commands that take long, or need what is not everywhere, and what runs them, perhaps on less."""

FOUND = commands.collected()
SHOWN = sorted({c.text.removeprefix(".venv/bin/") for c in FOUND if c.shown})
USAGE: type[Exception] = typer.BadParameter.__mro__[1]
"""What is raised for options that there are not: click's own class, or typer's copy of it."""
GROUP = typer.main.get_command(cli.app)


def ids(command: Command) -> str:
    return f"{command.page}: {command.text}"


def test_pages_have_commands() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/bisect.md", "docs/reports.md"} <= {c.page for c in FOUND}


def test_every_command_that_is_shown_is_run_by_a_test() -> None:
    assert set(SHOWN) == {*RUN, *ELSEWHERE}
    assert not set(RUN) & set(ELSEWHERE)


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_what_runs_it_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    text = (ROOT / file).read_text()
    if not file.endswith(".py"):
        assert name in text.splitlines()
        return
    assert name in {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("command", [c for c in FOUND if c.words[0] == "lockstep"], ids=ids)
def test_lockstep_takes_it(command: Command) -> None:
    """Its subcommand, options and values; within a sentence, what must be given may be left out."""
    words = command.words[3:] if command.words[1] == "--site" else command.words[1:]
    if not words or words[0] == "COMMAND":
        return  # stands for each of them
    try:
        _parse(words)
    except typer.BadParameter as error:
        if type(error).__name__ != "MissingParameter" or command.shown:
            raise


def _parse(words: list[str]) -> None:
    verb = GROUP
    while hasattr(verb, "commands"):
        assert words[0] in verb.commands, f"there is no command {words[0]}"
        verb = verb.commands[words[0]]
        words = words[1:]
    verb.make_context(str(verb.name), list(words))


@pytest.mark.parametrize("target", sorted({c.words[1] for c in FOUND if c.words[0] == "make"}))
def test_make_takes_it(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_command_that_there_is_not_would_be_found() -> None:
    """The checks above can fail."""
    for words in (["nonsense"], ["run", "--nonsense"], ["list", "nonsense"], ["report", "DIR", "--format", "pdf"]):
        with pytest.raises((AssertionError, USAGE), match=r"nonsense|pdf"):
            _parse(words)
    assert [c.text for c in commands.read("x.md", "    $ lockstep run  # comment\n\nand `lockstep list a|b`\n")] == [
        "lockstep run",
        "lockstep list a",
        "lockstep list b",
    ]
