"""Releases as package indexes of several kinds tell them: a small server plays the index."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from harness.environments import releases as reading
from harness.environments.releases import NoReleases, Release, releases

JSON, HTML, PLAIN = "application/vnd.pypi.simple.v1+json", "text/html; charset=utf-8", "application/json"


@dataclass
class Index:
    """What a server answers to which path, and what it was asked."""

    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def simple(self, kind: str, body: bytes, name: str = "tool") -> None:
        self.pages[f"/mirror/simple/{name}/"] = (kind, body)

    def project(self, body: bytes, name: str = "tool") -> None:
        self.pages[f"/mirror/pypi/{name}/json"] = (PLAIN, body)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    told = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            kind, body = told.pages.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name in reading.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{told.port}/mirror/simple")
    yield told
    server.shutdown()
    server.server_close()


def file(name: str, **more: object) -> dict[str, object]:
    return {"filename": name, "url": f"files/{name}", "hashes": {}, **more}


def simple_json(*files: dict[str, object]) -> bytes:
    whole = {"meta": {"api-version": "1.1"}, "name": "tool", "files": files, "versions": ["1.0", "77.0"]}
    return json.dumps(whole).encode()


def simple_html(*names: str, yanked: tuple[str, ...] = ()) -> bytes:
    lines = [f'<a href="f/{n}"{" data-yanked" if n in yanked else ""}>{n}</a>' for n in names]
    return f"<!DOCTYPE html><html><body>{'<br/>'.join(lines)}</body></html>".encode()


def project_json(**releases: list[dict[str, object]]) -> bytes:
    return json.dumps({"info": {}, "releases": {k.replace("_", "."): v for k, v in releases.items()}}).encode()


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def test_an_index_that_tells_dates(index: Index) -> None:
    index.simple(
        JSON,
        simple_json(
            file("tool-1.10.0.tar.gz", **{"upload-time": "2024-03-01T10:00:00.5Z"}),
            file("tool-1.2.0-py3-none-any.whl", **{"upload-time": "2024-01-09T23:59:59Z"}),
            file("tool-1.2.0.tar.gz", **{"upload-time": "2024-01-07T00:00:00Z"}),
            file("tool-2.0rc1.tar.gz", yanked="broken", **{"upload-time": "2024-05-01T00:00:00Z"}),
            file("tool-1.3.tar.gz", yanked=True, **{"upload-time": "2024-02-01T00:00:00Z"}),
            file("tool-1.3-py3-none-any.whl", yanked=False, **{"upload-time": "2024-02-02T00:00:00Z"}),
            file("tool-tomorrow.tar.gz"),
            file("notes.txt"),
        ),
    )
    found = releases("Tool")
    assert found == (
        Release("1.2.0", day("2024-01-07"), yanked=False),
        Release("1.3", day("2024-02-01"), yanked=False),
        Release("1.10.0", day("2024-03-01"), yanked=False),
        Release("2.0rc1", day("2024-05-01"), yanked=True),
    )
    assert [r.prerelease for r in found] == [False, False, False, True]
    assert index.asked == ["/mirror/simple/tool/"]


def test_a_moment_beyond_the_calendar_of_utc_has_a_day(index: Index) -> None:
    index.simple(JSON, simple_json(file("tool-1.0.tar.gz", **{"upload-time": "9999-12-31T23:00:00-05:00"})))
    assert releases("tool") == (Release("1.0", day("9999-12-31"), yanked=False),)


def test_an_index_of_links_beside_a_project_api(index: Index) -> None:
    index.simple(HTML, simple_html("tool-1.1.tar.gz", "tool-1.0.tar.gz", "tool-1.2.tar.gz", "tool-2.tar.gz"))
    index.project(
        project_json(
            **{
                "1_0": [
                    {"upload_time_iso_8601": "2023-01-02T00:00:00.000000Z", "size": 7},
                    {"upload_time_iso_8601": "2023-01-01T01:00:00+02:00", "yanked": False},
                ],
                "1_1_0": [{"upload_time_iso_8601": "2023-02-01T00:00:00Z", "yanked": True}],
                "1_2": [],
                "9_9": [{"upload_time_iso_8601": "2030-01-01T00:00:00Z"}],
                "odd": [{"upload_time_iso_8601": "2030-01-01T00:00:00Z"}],
            }
        )
    )
    assert releases("tool") == (
        Release("1.0", day("2022-12-31"), yanked=False),
        Release("1.1", day("2023-02-01"), yanked=True),
        Release("1.2", None, yanked=False),
        Release("2", None, yanked=False),
    )
    assert index.asked == ["/mirror/simple/tool/", "/mirror/pypi/tool/json"]


@pytest.mark.parametrize("project", [None, b"", b"{", b"[]", b'{"releases": 7}', b'{"info": {}}', b"\xff"])
def test_an_index_of_links_alone(index: Index, project: bytes | None) -> None:
    index.simple(HTML, simple_html("tool-1.0.tar.gz", "tool-1.1.tar.gz", yanked=("tool-1.1.tar.gz",)))
    if project is not None:
        index.project(project)
    assert releases("tool") == (Release("1.0", None, yanked=False), Release("1.1", None, yanked=True))


def refused(package: str = "tool") -> str:
    with pytest.raises(NoReleases) as raised:
        releases(package)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_package_that_does_not_exist(index: Index) -> None:
    assert refused("no.such_tool") == "the package index 127.0.0.1 has no package no-such-tool; check the name"


@pytest.mark.parametrize("name", ["", " ", "to ol", "../../etc", "tool\n", "-tool", "tool==1.0"])
def test_what_is_no_name_is_not_asked_for(index: Index, name: str) -> None:
    assert "is not a package name" in refused(name)
    assert index.asked == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b"null"),
        (JSON, b"\xff\xfe"),
        (JSON, b"[" * 100_000),
        (JSON, b'{"meta": {"api-version": "9.0"}, "name": "tool", "files": []}'),
        (JSON, b'{"meta": {"api-version": "1.0"}, "name": "tool", "files": [7]}'),
        (HTML, b'<html><head><meta name="pypi:repository-version" content="9.0"></head></html>'),
        ("image/png", b"\x89PNG"),
        ("text/plain", simple_html("tool-1.0.tar.gz")),
    ],
)
def test_garbage(index: Index, kind: str, body: bytes) -> None:
    index.simple(kind, body)
    assert "name another package index with UV_DEFAULT_INDEX" in refused()


@pytest.mark.parametrize("body", [b"", b"\0" * 100, b"<<<a>>", simple_html(), simple_html("notes.txt", "tool-x.zip")])
def test_no_release_at_all(index: Index, body: bytes) -> None:
    index.simple(HTML, body)
    assert "has no release of tool with files" in refused()


def test_an_answer_without_end(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST", 10_000)
    index.simple(HTML, simple_html("tool-1.0.tar.gz") + b" " * 10_000)
    assert "longer than 10000 bytes" in refused()


def test_a_server_that_says_nothing(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TIMEOUT", 0.2)
    index.simple(HTML, simple_html("tool-1.0.tar.gz"))
    answering = threading.Event()
    ask = index.pages.get

    class Slow(dict[str, tuple[str, bytes]]):
        def get(self, *key):
            answering.wait(5)
            return ask(*key)

    index.pages = Slow()
    assert "check the network" in refused()
    answering.set()


def test_no_network_and_no_credentials_in_the_message(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://me:secret@127.0.0.1:9/simple")
    said = refused()
    assert "check the network" in said
    assert "secret" not in said


@pytest.mark.parametrize("value", ["::", "nonsense", "file:///nowhere/simple", "http://", "http://[::1/simple"])
def test_an_index_that_is_none(index: Index, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", value)
    assert "name another package index" in refused()


@pytest.mark.parametrize("name", reading.VARIABLES)
@pytest.mark.parametrize("form", ["{}", "{}/", "own={}"])
def test_where_the_index_is_named(index: Index, monkeypatch: pytest.MonkeyPatch, name: str, form: str) -> None:
    index.simple(HTML, simple_html("tool-1.0.tar.gz"))
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.setenv(name, form.format(f"http://127.0.0.1:{index.port}/mirror/simple"))
    assert [r.version for r in releases("tool")] == ["1.0"]


@given(st.lists(st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,3}((a|rc|\.post|\.dev)[0-9])?", fullmatch=True), min_size=1))
def test_releases_come_in_the_order_of_versions(versions: list[str]) -> None:
    page = simple_html(*(f"tool-{v}.tar.gz" for v in versions))
    files = reading.ProjectPage.from_html("tool", page, "http://x/").packages
    found = reading._of_files(files)
    assert sorted(found) == sorted({Version(v) for v in versions})
    assert all(Version(release.version) == version for version, release in found.items())


@pytest.mark.frameworks
def test_the_real_index_knows_when_deepspeed_was_released() -> None:
    found = {r.version: r for r in releases("deepspeed")}
    order = list(found)
    assert order.index("0.15.1") + 1 == order.index("0.15.2")
    assert found["0.15.1"] == Release("0.15.1", day("2024-09-05"), yanked=False)
    assert found["0.15.2"] == Release("0.15.2", day("2024-10-09"), yanked=False)
    assert len(found) > 100
