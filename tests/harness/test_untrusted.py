"""Readers of what somebody else may have written, given bytes and half-right files: each returns, or refuses in a line.

Of traces see `tests/harness/traces`, of rows of a history `tests/harness/history`. In `make fuzz` each of these has
many more examples.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scenarios
from harness.bisection import record as bisections
from harness.commands.stop import STATUS
from harness.environments import diff, patch, pins, recipes, request
from harness.history.store import History
from harness.intent import file as intents
from harness.intent.fits import misfit
from harness.intent.intent import Intent
from harness.intent.of_scenario import of_scenario
from harness.judging import accepted
from harness.nightly import canaries, outbox
from harness.nightly import record as nights
from harness.session import plan
from harness.site import site
from harness.stock import record as stocks
from reports import stock as stock_page
from reports.bisection import markdown as bisection_page
from reports.nightly import markdown as night_page
from tests.fuzzing import examples
from tests.harmless import EVIL, hidden, live
from tests.reports.bisection import made as bisections_made
from tests.reports.made import HOSTILE
from tests.reports.nightly import made as nights_made

pytestmark = pytest.mark.fuzz

DAILY = settings(max_examples=examples(100))

REFUSALS = {*STATUS, "harness.environments.recipes.BadRecipe", "harness.environments.pins.BadPins"}
"""By place, as `stop.STATUS` has them; the last two become others before a command sees them."""


def refused(read: Callable[[], object]) -> object | None:
    """What was read; None where it was refused in one line that a command knows."""
    try:
        return read()
    except Exception as error:
        if not {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__} & REFUSALS:
            raise
        said = str(error)
    assert 0 < len(said) < 5000
    return None


def file(content: bytes, name: str, read: Callable[[Path], object]) -> object | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
        return refused(lambda: read(path))


# ---- any bytes


BYTES = st.one_of(
    st.binary(max_size=300),
    HOSTILE.map(lambda text: text.encode(errors="surrogatepass")),
    st.sampled_from([b"", b"\xff\xfe", b"[" * 100_000, b"{" * 100_000, b"a = " + b"9" * 5000, b"a=[" + b"[" * 50_000]),
)

READERS: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    "accepted.toml": ("accepted.toml", accepted.load),
    "canaries.toml": ("canaries.toml", canaries.load),
    "lockstep.toml": ("lockstep.toml", site.load),
    "recipes.toml": ("recipes.toml", recipes.load),
    "pins": ("pins.txt", pins.read),
    "patch": ("x.py", lambda path: patch.load(str(path))),
    "diff": ("x.diff", lambda path: patch.load(str(path))),
    "bisect.json": (bisections.FILE, lambda path: bisections.read(path.parent)),
    "night.json": (f"20260101-000000/{nights.FILE}", nights.read),
    "ticket": (f"{outbox.FOLDER}/x.json", lambda path: outbox.load(path.parents[1])),
    "intent.json": ("intent.json", intents.read),
    "stock.json": (stocks.FILE, stocks.read),
    "history": ("history.sqlite", lambda path: History.open(path).all()),
}


@pytest.mark.parametrize("reader", READERS)
@DAILY
@given(content=BYTES)
def test_any_bytes_are_refused_in_a_line(reader: str, content: bytes) -> None:
    name, read = READERS[reader]
    file(content, name, read)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["/dev/zero", "/dev/null", "/", "missing", "loop"])
def test_what_is_no_file_is_refused(reader: str, what: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.symlink_to(path.name if what == "loop" else what)
    new = reader == "history" and what == "missing"  # which is made
    assert refused(lambda: read(path)) == (() if new else None)


# ---- records that are JSON, half right


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(HOSTILE, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def changed(draw: st.DrawFn, whole: Any) -> Any:
    """A JSON value with some of its parts another, missing, or twice there."""
    if draw(st.integers(0, 12)) == 0:
        return draw(JUNK)
    if isinstance(whole, dict):
        kept = {key: draw(changed(each)) for key, each in whole.items() if draw(st.integers(0, 20))}
        return kept | (draw(st.dictionaries(HOSTILE, JUNK, max_size=1)) if draw(st.integers(0, 9)) == 0 else {})
    if isinstance(whole, list):
        found = [draw(changed(each)) for each in whole]
        return found + found[:1] if draw(st.integers(0, 9)) == 0 else found
    return draw(HOSTILE) if isinstance(whole, str) and draw(st.integers(0, 6)) == 0 else whole


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


SLOW = settings(
    deadline=None, max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

BISECTION = json.loads(bisections_made.guilty().model_dump_json(by_alias=True))
NIGHT = json.loads(nights_made.night().model_dump_json(by_alias=True))
TICKET = json.loads(next(iter(nights_made.tickets().values())).model_dump_json())


@pytest.mark.slow
@SLOW
@given(changed(BISECTION))
def test_a_bisection(value: Any) -> None:
    """What is read can be told, or is refused."""
    found = file(_json(value), bisections.FILE, lambda path: bisections.read(path.parent))
    if isinstance(found, bisections.Bisection):
        for page in (bisection_page.page(found), bisection_page.issue(found)):
            assert not hidden(page)
            assert not live(page)


@pytest.mark.slow
@SLOW
@given(changed(NIGHT))
def test_a_night(value: Any) -> None:
    found = file(_json(value), f"{NIGHT['name']}/{nights.FILE}", nights.read)
    if isinstance(found, nights.Night):
        page = night_page.night(found, nights_made.before())
        assert not hidden(page)
        assert not live(page)
        assert found.status in (0, 1, 3)


@SLOW
@given(changed(TICKET))
def test_a_ticket(value: Any) -> None:
    found = file(
        _json(value), f"{outbox.FOLDER}/{TICKET['fingerprint']}.json", lambda path: outbox.load(path.parents[1])
    )
    if isinstance(found, dict):
        for ticket in found.values():
            page = night_page.ticket(ticket)
            assert not hidden(page)
            assert not live(page)


STOCK = {
    "schema_": 1,
    "lockstep": "0.1.0",
    "first": "2024-01-01",
    "last": "2024-02-01",
    "since": "2024-01-01",
    "scenarios": ["sft-ragged"],
    "frameworks": [
        {
            "name": "trl",
            "before": 3,
            "releases": [
                {
                    "version": "1.0",
                    "released": "2024-01-04",
                    "days": 7,
                    "covered": True,
                    "underneath": {"transformers": "4.0"},
                    "outcomes": {"sft-ragged": {"verdict": "fail", "kinds": ["x"]}},
                }
            ],
        }
    ],
}


@SLOW
@given(changed(STOCK))
def test_stock_installs(value: Any) -> None:
    found = file(_json(value), stocks.FILE, stocks.read)
    if isinstance(found, stocks.Stock):
        page = stock_page.page(found)
        assert not hidden(page)
        assert not live(page)


WANTED = json.loads(intents.dumps(of_scenario(scenarios.get("sft-ragged"))))


@SLOW
@given(changed(WANTED))
def test_an_intent(value: Any) -> None:
    """What is read can be written and read again, and every tensor and step of it has its numbers."""
    found = file(_json(value), "intent.json", intents.read)
    if isinstance(found, Intent):
        assert intents.loads(intents.dumps(found).encode()) == found
        assert any(found.schedule_rate(step) > 0 for step in range(found.steps))
        assert all(found.schedule_rate(step) >= 0 for step in range(found.steps))
        misfit(found, scenarios.get("sft-ragged"), 3)


# ---- tables, pins, names


def _toml(value: Any) -> bytes:
    """The parts of TOML that these files have; what it has no word for becomes a text."""
    if isinstance(value, dict):
        return b"".join(_table(key, each) for key, each in value.items())
    return b"x = 1"


def _table(name: str, entries: Any) -> bytes:
    rows = entries if isinstance(entries, list) else [entries]
    return b"".join(f"[[{_word(name)}]]\n".encode(errors="replace") + _pairs(row) for row in rows)


def _pairs(row: Any) -> bytes:
    pairs = row.items() if isinstance(row, dict) else []
    return "".join(f"{_word(key)} = {json.dumps(each, default=str)}\n" for key, each in pairs).encode(errors="replace")


def _word(text: str) -> str:
    return json.dumps(text)


ACCEPTED = {
    "accepted": [
        {
            "framework": "trl",
            "versions": ">=1",
            "scenario": "sft-ragged*",
            "code": "update.moments",
            "sentence": "it is",
            "link": "https://example.org",
        }
    ]
}
CANARIES = {"canary": [{"release": "deepspeed==0.18.9", "scenario": "sft-ragged", "cause": "x"}]}


@pytest.mark.parametrize(
    ("whole", "name"), [(ACCEPTED, "accepted.toml"), (CANARIES, "canaries.toml")], ids=["accepted", "canaries"]
)
@DAILY
@given(data=st.data())
def test_tables(whole: Any, name: str, data: st.DataObject) -> None:
    file(_toml(data.draw(changed(whole))), name, READERS[name][1])


PIECES = st.sampled_from(
    ["trl==1.0", "numpy == 2", "# x", "", "a @ git+https://x/y@" + "0" * 40, "trl>=1", "x==*", "-e .", "a==1 ; b", " #"]
)


@DAILY
@given(st.lists(PIECES | HOSTILE, max_size=6).map("\n".join))
def test_pins(text: str) -> None:
    found = file(text.encode(errors="surrogatepass"), "pins.txt", pins.read)
    for line in found or ():
        assert pins.name(line)
        pins.version(line)


@DAILY
@given(
    st.one_of(
        HOSTILE,
        st.lists(
            st.sampled_from(["trl", "==", "1.0", ",", "@", "/", ".txt", "=", ">", "numpy", "\x1b", " ", "torch"]),
            max_size=8,
        ).map("".join),
    )
)
def test_requests_and_choices(text: str) -> None:
    refused(lambda: request.parse(text).resolved())
    refused(lambda: plan.choose([text], 1))
    refused(lambda: plan.check_fault(text, (), ["keep-first"]))
    refused(lambda: outbox.command(text))


# ---- diffs


HUNK = "@@ -1 +1 @@\n-a\n+b\n"


@settings(deadline=None, max_examples=examples(15))
@given(
    st.lists(
        st.sampled_from(
            [
                "diff --git a/x/y.py b/x/y.py\n",
                "--- a/x/y.py\n+++ b/x/y.py\n",
                "--- a/../../etc/x\n+++ b/../../etc/x\n",
                "--- /etc/x\n+++ /etc/x\n",
                "new file mode 120000\n",
                "rename from x\n",
                HUNK,
                "@@ -1,99999999999 +1 @@\n",
                "\0",
                EVIL,
            ]
        ),
        max_size=6,
    ).map("".join)
)
def test_diffs(text: str) -> None:
    with suppress(diff.BadDiff):
        assert diff.read(text.encode(errors="surrogatepass"))
    file(text.encode(errors="surrogatepass"), "x.diff", READERS["diff"][1])
