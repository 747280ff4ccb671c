"""The releases of a package, with their dates, as the package index tells them."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import requests
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, Field, ValidationError
from pypi_simple import (
    ACCEPT_JSON_PREFERRED,
    PYPI_SIMPLE_ENDPOINT,
    DistributionPackage,
    ProjectPage,
    PyPISimple,
    UnexpectedRepoVersionWarning,
    UnsupportedRepoVersionError,
)

TIMEOUT = 15.0
"""Seconds without a byte."""
LARGEST = 64 * 2**20
"""Bytes of an answer; those of packages with thousands of releases have a tenth of it."""

VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""What names the index, as `uv` looks for it, and then as pip does."""

JSON = "application/vnd.pypi.simple.v1+json"
HTML = ("application/vnd.pypi.simple.v1+html", "text/html")


class NoReleases(Exception):
    """The releases of a package cannot be told; the message is one line with the remedy."""


@dataclass(frozen=True)
class Release:
    """One release of a package."""

    version: str
    """In its normal form (PEP 440)."""
    date: dt.date | None
    """Of its first file, in UTC; None where the index does not tell."""
    yanked: bool
    """Whether all of its files were withdrawn (PEP 592)."""

    @property
    def prerelease(self) -> bool:
        return Version(self.version).is_prerelease


@dataclass(frozen=True)
class _Answer:
    """What a server said."""

    url: str
    type: str
    """Its content type, without parameters."""
    body: bytes


class _File(BaseModel):
    upload_time_iso_8601: dt.datetime | None = None
    yanked: bool = False


class _Project(BaseModel):
    """The answer of the project JSON API that Warehouse has, as far as it is read."""

    releases: dict[str, list[_File]] = Field(default_factory=dict)


def releases(package: str) -> tuple[Release, ...]:
    """All releases of a package that have files, by version, the oldest first. What is no PEP 440 version is left out.

    Asks the index's Simple API (PEP 503, 691, 700), and where that tells no dates, its project JSON API.
    Raises NoReleases.
    """
    try:
        name = canonicalize_name(package, validate=True)
    except InvalidName:
        raise NoReleases(f"{package!r} is not a package name; give one as `pip install` takes it") from None
    index = _index()
    found = _of_files(_page(index, name).packages)
    if not found:
        raise NoReleases(f"{_host(index)} has no release of {name} with files; check the name")
    if any(release.date is None for release in found.values()):
        found = _completed(found, _project(index, name))
    return tuple(found[version] for version in sorted(found))


def _index() -> str:
    value = next(filter(None, map(os.environ.get, VARIABLES)), PYPI_SIMPLE_ENDPOINT)
    return re.sub(r"\A[\w.-]+=", "", value).rstrip("/")  # uv takes `name=url`


def _page(index: str, name: str) -> ProjectPage:
    answer = _ask(index, PyPISimple(f"{index}/").get_project_url(name), name)
    try:
        with warnings.catch_warnings():
            # A later minor version of the API only adds to what is read here (PEP 629).
            warnings.simplefilter("ignore", UnexpectedRepoVersionWarning)
            if answer.type == JSON:
                return ProjectPage.from_json_data(json.loads(answer.body), answer.url)
            if answer.type in HTML:
                return ProjectPage.from_html(name, answer.body, answer.url)
    except (ValueError, TypeError, RecursionError, UnsupportedRepoVersionError) as error:
        raise _refused(index, name, f"its answer cannot be read: {type(error).__name__}") from None
    raise _refused(index, name, f"it answers with {answer.type or 'no type'}")


def _of_files(files: Iterable[DistributionPackage]) -> dict[Version, Release]:
    found: dict[Version, Release] = {}
    for file in files:
        version = _version(file.version)
        if version is None:
            continue
        date = None if file.upload_time is None else _day(file.upload_time)
        own = Release(str(version), date, bool(file.is_yanked))
        found[version] = _joined(found.get(version, own), own)
    return found


def _joined(one: Release, other: Release) -> Release:
    dates = [r.date for r in (one, other) if r.date is not None]
    return replace(one, date=min(dates, default=None), yanked=one.yanked and other.yanked)


def _completed(found: Mapping[Version, Release], project: _Project) -> dict[Version, Release]:
    """Releases with what the project JSON API says where the Simple API is silent."""
    told = {_version(text): files for text, files in project.releases.items()}
    result = dict(found)
    for version, release in found.items():
        files = told.get(version, [])
        days = [_day(f.upload_time_iso_8601) for f in files if f.upload_time_iso_8601 is not None]
        yanked = bool(files) and all(f.yanked for f in files)
        result[version] = replace(
            release, date=release.date or min(days, default=None), yanked=release.yanked or yanked
        )
    return result


def _project(index: str, name: str) -> _Project:
    """Empty where the index has no such API, as many have not."""
    root, simple, _ = index.rpartition("/simple")
    if not simple:
        return _Project()
    try:
        return _Project.model_validate_json(_ask(index, f"{root}/pypi/{name}/json", name).body)
    except (NoReleases, ValidationError):
        return _Project()


def _version(text: str | None) -> Version | None:
    try:
        return None if text is None else Version(text)
    except InvalidVersion:
        return None


def _day(moment: dt.datetime) -> dt.date:
    """In UTC, which is what an index means where it names no zone, and where the calendar ends before UTC does."""
    try:
        return (moment if moment.tzinfo is None else moment.astimezone(dt.UTC)).date()
    except OverflowError:
        return moment.date()


def _ask(index: str, url: str, name: str) -> _Answer:
    try:
        with requests.get(url, headers={"Accept": ACCEPT_JSON_PREFERRED}, timeout=TIMEOUT, stream=True) as response:
            if response.status_code == requests.codes.not_found:
                raise NoReleases(f"{_host(index)} has no package {name}; check the name")
            if not response.ok:
                raise _refused(index, name, f"it answers with status {response.status_code}")
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return _Answer(response.url, kind, _body(response, index, name))
    except (requests.RequestException, OSError, ValueError) as error:
        raise _refused(index, name, type(error).__name__) from None


def _body(response: requests.Response, index: str, name: str) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(2**16):
        body += chunk
        if len(body) > LARGEST:
            raise _refused(index, name, f"its answer is longer than {LARGEST} bytes")
    return bytes(body)


def _refused(index: str, name: str, reason: str) -> NoReleases:
    return NoReleases(
        f"{_host(index)} does not tell the releases of {name} ({reason}): check the network,"
        f" or name another package index with {VARIABLES[0]}"
    )


def _host(index: str) -> str:
    """The index without what its URL may hold of credentials."""
    try:
        host = urlsplit(index).hostname
    except ValueError:
        host = None
    return f"the package index {host}" if host else "the package index"
