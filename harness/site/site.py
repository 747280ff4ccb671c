"""What a site file says. Its paths are whole, and nothing of it has been looked at or run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from harness import tables
from harness.environments.request import BadRequest, Request, parse
from harness.limits import MAX_MACHINES, MAX_RANKS, MOST_JOBS, MOST_SECONDS
from harness.site.place import BadSite

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{text!r} is empty, or has characters that cannot be seen")
    return text


def _path(text: str, info: ValidationInfo) -> str:
    """`~` and variables are put in; what is no whole path begins at the site file's folder."""
    whole = os.path.expandvars(_text(text))
    if unset := re.search(r"\$(\w+|\{[^}]*\})", whole):
        raise ValueError(f"the variable {unset[0]} is not set")
    try:
        return str(Path(info.context or ".") / Path(whole).expanduser())
    except RuntimeError:
        raise ValueError(f"{text!r} begins at the home of a user that there is not") from None


def _address(text: str) -> str:
    """Of an index; credentials have no place in a file that many read."""
    parts = urlsplit(_text(text))
    if parts.scheme not in ("http", "https", "file"):
        raise ValueError(f"{text!r} is no address such as https://index.example.org/simple")
    if parts.username is not None:
        raise ValueError("an address with a user's name; credentials belong into UV_INDEX_* variables or a .netrc")
    return text


def _word(text: str) -> str:
    if re.fullmatch(r"[^\s\"'\\;|&<>$`]+", _text(text)) is None or text.startswith("-"):
        raise ValueError(f"{text!r} is not one plain word")
    return text


def _name(text: str) -> str:
    if re.fullmatch(r"[a-z][a-z0-9-]*", text) is None:
        raise ValueError(f"{text!r} is no option; write its long name without the dashes, such as container-image")
    return text


Text = Annotated[str, AfterValidator(_text)]
PathText = Annotated[str, AfterValidator(_path)]
Address = Annotated[str, AfterValidator(_address)]
Word = Annotated[str, AfterValidator(_word)]
Time = Annotated[str, Field(pattern=r"^(\d+-\d{1,2}(:\d{1,2}){0,2}|\d+(:\d{1,2}){0,2})$")]
OptionName = Annotated[str, AfterValidator(_name)]


class Index(BaseModel):
    """Where packages come from; each is a variable of `uv`, which wins where it is set."""

    model_config = _STRICT

    url: Address | None = None
    extra: tuple[Address, ...] = Field(default=(), strict=False)
    """Further indexes, looked at before `url`."""
    find_links: PathText | None = None
    """A folder of wheels."""
    torch_backend: Word | None = None
    """Which build of torch, such as cu126."""

    def variables(self) -> dict[str, str]:
        """As `uv` has them."""
        found = {
            "UV_DEFAULT_INDEX": self.url,
            "UV_INDEX": " ".join(self.extra),
            "UV_FIND_LINKS": self.find_links,
            "UV_TORCH_BACKEND": self.torch_backend,
        }
        return {name: value for name, value in found.items() if value}


class Slurm(BaseModel):
    """How jobs are asked for."""

    model_config = _STRICT

    partition: Word | None = None
    account: Word | None = None
    gres: Word | None = None
    """Such as gpu:4."""
    nodes: Annotated[int, Field(ge=1)] | None = None
    nnodes: Annotated[int, Field(ge=1, le=MAX_MACHINES)] | None = None
    """Of each job."""
    time: Time | None = None
    """Most time of a job, as Slurm writes it: minutes, HH:MM:SS or days-HH."""
    srun: Mapping[OptionName, str | int | bool] = Field(default_factory=dict)
    """Any other option of `srun`, those of containers too, by its long name; true for one without a value."""
    prolog: tuple[Text, ...] = Field(default=(), strict=False)
    """Lines of the shell before anything is started in a job, such as `module load cuda`."""

    @property
    def options(self) -> tuple[str, ...]:
        """`srun` as words of a command line."""
        return tuple(_option(name, value) for name, value in self.srun.items() if value is not False)


def _option(name: str, value: str | int | bool) -> str:
    return f"--{name}" if value is True else f"--{name}={value}"


def _interpreters(found: Mapping[str, str]) -> Mapping[str, str]:
    try:
        return {parse(f"{name}@{path}").framework: path for name, path in found.items()}
    except BadRequest as error:
        raise ValueError(str(error)) from None


class Site(BaseModel):
    """The whole file. What the command line says wins."""

    model_config = _STRICT

    frameworks: Annotated[Mapping[str, PathText], AfterValidator(_interpreters)] = Field(default_factory=dict)
    """Interpreters of the user's own, for a framework that is named without a release."""
    envs: PathText | None = None
    """Folder of environments, unless LOCKSTEP_ENVS is set."""
    scratch: PathText | None = None
    """Folder for temporary files, in the place of TMPDIR."""
    jobs: Annotated[int, Field(ge=1, le=MOST_JOBS)] | None = None
    timeout: Annotated[float, Field(ge=1, le=MOST_SECONDS)] | None = None
    """Seconds for one cell."""
    device: Literal["cpu", "cuda"] | None = None
    ranks: Annotated[int, Field(ge=1, le=MAX_RANKS)] | None = None
    reach: Text | None = None
    """What runs a command on the machine `{}`, before that command."""
    index: Index = Index()
    slurm: Slurm | None = None

    def defaults(self) -> dict[str, Any]:
        """Values for options of that name, of whichever command has them."""
        found = {"jobs": self.jobs, "timeout": self.timeout, "device": self.device, "ranks": self.ranks}
        return {name: value for name, value in found.items() if value is not None}

    def own(self, request: Request) -> Request:
        """The request in the interpreter that this site has for it, where it names nothing but a framework."""
        path = self.frameworks.get(request.framework)
        if path is None or request != Request(request.framework, patches=request.patches):
            return request
        return replace(parse(f"{request.framework}@{path}"), patches=request.patches)


def load(path: Path) -> Site:
    """Read and check a site file; it is data, and nothing of it is run. Raises BadSite."""
    try:
        return tables.read(path, Site, path.absolute().parent)
    except tables.BadTable as error:
        raise BadSite(f"{error}; docs/clusters.md says what a site file has") from None
