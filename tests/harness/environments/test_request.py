from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environments.recipes import shipped
from harness.environments.request import BadRequest, Request, parse

versions = st.builds(
    lambda release, pre, local: ".".join(map(str, release)) + pre + local,
    st.lists(st.integers(0, 99), min_size=1, max_size=4),
    st.sampled_from(["", "a1", "b2", "rc3", ".post1", ".dev4"]),
    st.sampled_from(["", "+cpu", "+cu130"]),
)
packages = st.from_regex(r"[a-z]([a-z0-9]|-(?=[a-z0-9])){0,12}", fullmatch=True)
frameworks = st.sampled_from(sorted(shipped().framework))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    framework = draw(frameworks)
    chosen = draw(st.dictionaries(packages.filter(lambda name: name != framework), versions, max_size=3))
    return Request(framework, draw(st.none() | versions), tuple(sorted(chosen.items())))


@given(requests())
def test_what_is_written_reads_back(request: Request) -> None:
    assert parse(str(request)) == request


@given(frameworks, st.text(min_size=1).filter(lambda text: text.strip() and all(ord(c) > 31 for c in text)))
def test_an_interpreter_or_pins_read_back_whatever_the_path(framework: str, path: str) -> None:
    place = Path(path)
    request = Request(framework, pins=place) if place.suffix == ".txt" else Request(framework, python=place)
    assert parse(str(request)) == request
    pinned = Request(framework, pins=place / "pins.txt")
    assert parse(str(pinned)) == pinned


@given(
    st.text()
    | st.text(alphabet="deps=<>!~,@.*0123 \n\0+-_", max_size=30)
    | st.builds("deepspeed{}".format, st.text(alphabet="=<>!~,@.*019ab \n\0", max_size=12))
)
def test_garbage_is_a_bad_request_of_one_line(text: str) -> None:
    try:
        message = str(parse(text).resolved())
    except BadRequest as error:
        message = str(error)
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("deepsped", "did you mean 'deepspeed'"),
        ("nothing-like-it", "known: ddp, deepspeed, "),
        ("deepspeed=0.18.9", "did you mean 'deepspeed==0.18.9'"),
        ("deepspeed>=0.18", "NAME==VERSION"),
        ("deepspeed==0.18.*", "not one exact version"),
        ("deepspeed,transformers", "needs a version"),
        ("torch==2.13.0,torch==2.12.0", "repeat --framework, with torch==2.13.0 and with torch==2.12.0"),
        ("deepspeed==0.18.9, DeepSpeed", "repeat --framework"),
        ("ddp==2.13.0,torch==2.12.0", "with ddp==2.13.0 and with ddp==2.12.0"),
        ("torch,numpy==1,NumPy==2", "two versions"),
        ("torch@", "no path"),
        ("deepspeed==0.1", ">=0.14.5"),
    ],
)
def test_errors_carry_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(BadRequest, match=r".*") as caught:
        parse(text).resolved()
    assert remedy in str(caught.value)


def test_names_and_versions_take_their_normal_form() -> None:
    request = parse("DeepSpeed==0.18.09, Safe_Tensors == 1.0")
    assert request == Request("deepspeed", "0.18.9", (("safe-tensors", "1.0"),))


def test_the_newest_release_stands_in_for_none() -> None:
    assert parse("deepspeed").resolved().version == shipped().framework["deepspeed"].newest
    assert parse("deepspeed==0.18.9").resolved().version == "0.18.9"
    own = parse("deepspeed@/opt/python")
    assert own.resolved() == own
