"""What the validation engine says of any document, whatever it is a document of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BeforeValidator, Field

from controller.core.inputs import engine, kinds
from controller.core.inputs.engine import Expected, Form


def short(text: str) -> str:
    if len(text) > 5:
        raise ValueError(f"is {len(text)} characters long: 5 at most")
    return text


def twice(items: list[Any]) -> Iterable[engine.Broken]:
    return [((), "has an item twice")] if any(items.count(item) > 1 for item in items) else []


class Inner(Form):
    port: Annotated[int, Field(ge=1, le=9), Expected("a port, a whole number from 1 to 9")]
    word: Annotated[str, AfterValidator(short), Expected("a short word")] = ""
    on: bool = False

    @classmethod
    def together(cls, data: Mapping[str, Any]) -> Iterable[engine.Broken]:
        return [((), "expected word or on, got both")] if data.keys() >= {"word", "on"} else []


class Outer(Form):
    refused: ClassVar = {"hostNetwork": "a stage never shares the node's network: remove it"}
    kind: Literal["batch", "service"] = "batch"
    inner: Inner | None = None
    values: dict[str, Annotated[str, AfterValidator(short)]] = {}  # noqa: RUF012 (pydantic copies it)
    items: Annotated[list[Inner], Field(max_length=3)] = []  # noqa: RUF012 (same)
    plain: Annotated[list[str], engine.together(twice)] = []  # noqa: RUF012 (same)


def lines(document: Any, kind: Any = Outer) -> list[str]:
    return [f"{engine.path(fault.location)}: {fault.sentence}" for fault in engine.check(kind, document)[1]]


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"kind": "bath"}, 'kind: expected batch or service, got "bath"'),
        ({"inner": {}}, "inner.port: missing: write a port, a whole number from 1 to 9"),
        ({"inner": {"port": 10}}, "inner.port: expected a port, a whole number from 1 to 9, got 10"),
        (
            {"inner": {"port": "1"}},
            'inner.port: expected a port, a whole number from 1 to 9, got "1": remove the quotes',
        ),
        ({"inner": {"port": True}}, "inner.port: expected a port, a whole number from 1 to 9, got true"),
        ({"inner": {"port": 1, "word": "longer"}}, "inner.word: is 6 characters long: 5 at most"),
        ({"inner": {"port": 1, "word": 5}}, "inner.word: expected a short word, got 5"),
        ({"inner": {"port": 1, "on": "yes"}}, 'inner.on: expected true or false, got "yes"'),
        ({"inner": {"port": 1, "word": "a", "on": True}}, "inner: expected word or on, got both"),
        ({"inner": 5}, "inner: expected a section with keys of its own, got 5"),
        ({"values": []}, "values: expected a section with keys of its own, got a list"),
        ({"values": {"a": 5}}, "values.a: expected text: put the value in quotes"),
        ({"values": {"x/y": "longer"}}, 'values["x/y"]: is 6 characters long: 5 at most'),
        ({"items": {}}, "items: expected a list, got a mapping"),
        ({"items": [{"port": 1}, {"port": 0}]}, "items[1].port: expected a port, a whole number from 1 to 9, got 0"),
        ({"items": [{"port": 1}] * 4}, "items: has too many items: 3 at most"),
        ({"plain": ["a", "a"]}, "plain: has an item twice"),
        ({"innr": {}}, "innr: unknown key: did you mean inner?"),
        ({"inner": {"port": 1, "words": "a"}}, "inner.words: unknown key: did you mean word?"),
        ({"hostNetwork": True}, "hostNetwork: a stage never shares the node's network: remove it"),
        (5, ": expected a section with keys of its own, got 5"),
    ],
)
def test_a_fault_is_said_with_its_place_and_what_is_expected(document: Any, line: str) -> None:
    assert lines(document) == [line]


def test_no_fault_hides_another() -> None:
    document = {
        "inner": {"port": 0, "word": "longer", "on": True, "wrod": 1},
        "plain": ["a", "a", 5],
        "knd": "batch",
        "hostNetwork": True,
    }
    places = {fault.location for fault in engine.check(Outer, document)[1]}
    assert places == {
        ("inner", "port"), ("inner", "word"), ("inner",), ("inner", "wrod"), ("plain",), ("plain", 2), ("knd",),
        ("hostNetwork",),
    }  # fmt: skip


def test_a_key_without_a_value_is_as_if_it_were_not_there() -> None:
    assert engine.check(Outer, {"kind": None, "inner": {"port": 1, "on": None}}) == (Outer(inner=Inner(port=1)), ())


def test_unknown_keys_alone_leave_the_value() -> None:
    found, faults = engine.check(Outer, {"kind": "service", "x": 1, "inner": {"port": 2, "y": 2}})
    assert found == Outer(kind="service", inner=Inner(port=2))
    assert {fault.location for fault in faults} == {("x",), ("inner", "y")}
    assert all(fault.known for fault in faults)
    assert engine.check(Outer, {"kind": "x", "y": 1})[0] is None


def test_a_dataclass_is_a_form_too() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Setting:
        name: Annotated[str, Expected("a name")]
        port: Annotated[int, BeforeValidator(int), Expected("a port")] = 1

    assert engine.check(Setting, {"name": "a", "port": "2"}) == (Setting(name="a", port=2), ())
    assert lines({}, Setting) == ["name: missing: write a name"]


def test_a_fault_among_many_unknown_keys_is_not_lost() -> None:
    found, faults = engine.check(Outer, {**{f"key{number}": 1 for number in range(1000)}, "kind": "x"})
    assert found is None
    assert faults[0].location == ("kind",)
    assert len(faults) == kinds.PROBLEM_LIMIT + 1


KEYS = st.sampled_from(["kind", "inner", "values", "items", "plain", "port", "word", "on", "x", "[key]", "a\nb"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(["batch", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(ANYTHING | st.dictionaries(KEYS, ANYTHING))
def test_any_document_gives_a_value_or_printable_sentences(document: Any) -> None:
    found, faults = engine.check(Outer, document)
    assert (found is None) == any(not fault.known for fault in faults)
    for line in lines(document):
        assert line.isprintable()
        assert len(line) < 500
        assert "Input should" not in line
