"""`lockstep list`: the names that other commands take, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from harness.commands.output import console, document


class Subject(StrEnum):
    scenarios = "scenarios"
    frameworks = "frameworks"
    dimensions = "dimensions"
    matrices = "matrices"
    faults = "faults"
    findings = "findings"
    fixes = "fixes"
    platforms = "platforms"


class Platform(StrEnum):
    aarch64 = "aarch64"
    x86_64 = "x86-64"
    cpu = "cpu"


def list_(
    subject: Annotated[Subject, typer.Argument(help="What to list.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown page: faults, dimensions, platforms.")
    ] = False,
    frameworks: Annotated[
        list[str] | None,
        typer.Option("--framework", metavar="NAME[==V]", help="Of platforms, this framework; may be repeated."),
    ] = None,
    platform: Annotated[
        Platform | None, typer.Option(help="Of platforms, this one alone; all are Linux.", show_default=False)
    ] = None,
) -> None:
    """List scenarios, dimensions, matrices, frameworks, faults for the reference, findings, fixes, or platforms.

    Platforms: whether the newest releases can be installed on aarch64 and x86-64 with CUDA, and on a CPU; asks the
    package index for a minute, and installs nothing.
    """
    if subject is Subject.platforms:
        _platforms(frameworks or [], platform, as_json, as_markdown)
        return
    if frameworks or platform:
        raise typer.BadParameter(f"there is none of {subject}; leave it out", param_hint="--framework, --platform")
    if as_markdown:
        _markdown(subject)
        return
    entries = _READ[subject]()
    if as_json:
        document(json.dumps(entries, indent=1) + "\n")
        return
    if subject is Subject.dimensions:
        from harness.commands import dimensions

        console().print(dimensions.text())
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for entry in entries:
        table.add_row(entry["name"], entry["what"])
    console().print(table)


def _markdown(subject: Subject) -> None:
    from harness.commands import dimensions, fault_table

    pages = {Subject.faults: fault_table.markdown, Subject.dimensions: dimensions.markdown}
    if subject not in pages:
        raise typer.BadParameter(f"there is no page of {subject}; leave it out", param_hint="--markdown")
    document(pages[subject]())


def _platforms(frameworks: Sequence[str], platform: Platform | None, as_json: bool, as_markdown: bool) -> None:
    from harness.commands import platforms

    found = platforms.told(frameworks, platform and platform.value)
    if as_json:
        document(json.dumps(platforms.entries(found), indent=1) + "\n")
    elif as_markdown:
        document(platforms.markdown(found))
    else:
        console(soft_wrap=True).print(platforms.text(found))


def _scenarios() -> list[dict[str, Any]]:
    import scenarios

    return [{"name": name, "what": build.__doc__ or ""} for name, build in scenarios.CATALOGUE.items()]


def _frameworks() -> list[dict[str, Any]]:
    from harness.environments import recipes

    return [
        {
            "name": name,
            "what": f"{framework.oldest} and later; without a version: {framework.newest}",
            "versions": [r.versions for r in framework.releases],
            "newest": framework.newest,
        }
        for name, framework in recipes.shipped().framework.items()
    ]


def _dimensions() -> list[dict[str, Any]]:
    from harness.commands import dimensions

    return dimensions.entries()


def _matrices() -> list[dict[str, Any]]:
    from scenarios import matrices

    return [
        {
            "name": size,
            "what": "; ".join(_covered(name, told) for name, told in matrices.covering(size).items()),
            "frameworks": {
                name: {**told, "rows": matrices.names(size, name)} for name, told in matrices.covering(size).items()
            },
        }
        for size in matrices.sizes()
    ]


def _covered(framework: str, told: Mapping[str, Any]) -> str:
    refused = len(told["refused"])
    left = f", {refused} values and {told['refused_pairs']} pairs refused" if refused or told["refused_pairs"] else ""
    missed = f", {told['missed']} pairs missed" if told["missed"] else ""
    return f"{framework}: {len(told['rows'])} scenarios hold {told['pairs'] - told['missed']} pairs{missed}{left}"


def _faults() -> list[dict[str, Any]]:
    from adapters import faults

    return [
        {"name": name, "what": fault.what, "findings": list(fault.codes), "cause": fault.cause}
        for name, fault in faults.CATALOGUE.items()
    ]


def _findings() -> list[dict[str, Any]]:
    from harness.verdicts.findings import CODES, UNKNOWN_CODES

    return [{"name": code, "what": what, "unknown": code in UNKNOWN_CODES} for code, what in CODES.items()]


def _fixes() -> list[dict[str, Any]]:
    from harness.environments import patch

    return [{"name": name, "what": patch.load(name).reason} for name in patch.fixes()]


_READ: Mapping[Subject, Callable[[], list[dict[str, Any]]]] = {
    Subject.scenarios: _scenarios,
    Subject.frameworks: _frameworks,
    Subject.dimensions: _dimensions,
    Subject.matrices: _matrices,
    Subject.faults: _faults,
    Subject.findings: _findings,
    Subject.fixes: _fixes,
}
