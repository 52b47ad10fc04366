"""What a request's ConfigMap may say."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.errors import Invalid
from controller.core.inputs import variables
from controller.core.inputs.request import KEYS, digest, parse
from controller.core.model import Request

URL = "https://github.com/acme/iris"


def configmap(data: Any = None, name: Any = "iris", annotations: Any = None, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": "u1", "annotations": annotations}
    return {"metadata": metadata, "data": {"repository": URL} if data is None else data, **more}


def with_(**data: str) -> dict[str, Any]:
    return configmap({"repository": URL, **{key.replace("_", "-"): value for key, value in data.items()}})


def problems(of: dict[str, Any]) -> tuple[str, ...]:
    try:
        parse(of)
    except Invalid as error:
        return error.problems
    return ()


def test_a_repository_is_enough() -> None:
    assert parse(configmap()) == Request(name="iris", uid="u1", repository=URL)


def test_every_key_is_read() -> None:
    data = {
        "repository": URL,
        "ref": "v1.2",
        "path": "models/iris/",
        "run-on-create": "false",
        "deadline": "1h30m",
        "keep-runs": "7",
        "suspend": "true",
        "image": "python:3.12-slim",
        "project-name": "iris-staging",
        "on-overlap": "skip",
        "schedule": "0 6 * * 1-5",
        "time-zone": "Europe/Paris",
        "poll": "5m",
        "git-secret": "git",
        "index-secret": "index",
        "pod-template": "gpu.nodes",
        "env.B": "2",
        "env.A": "",
    }
    annotations = {
        "coachwork.io/trigger": "now 1",
        "coachwork.io/cancel": "4",
        "coachwork.io/set": 'now 1 {"B": "", "ALPHA": "0.1"}',
        "coachwork.io/rerun": "now 1 12",
    }
    assert parse(configmap(data, annotations=annotations)) == Request(
        name="iris",
        uid="u1",
        repository=URL,
        ref="v1.2",
        path="models/iris",
        run_on_create=False,
        deadline=5400,
        keep_runs=7,
        suspend=True,
        image="python:3.12-slim",
        project_name="iris-staging",
        env=(("A", ""), ("B", "2")),
        trigger="now 1",
        cancel="4",
        on_overlap="skip",
        schedule="0 6 * * 1-5",
        time_zone="Europe/Paris",
        poll=300,
        git_secret="git",
        index_secret="index",
        pod_template="gpu.nodes",
        parameters=(("ALPHA", "0.1"), ("B", "")),
        rerun=12,
    )


@pytest.mark.parametrize("blank", ["", " ", "\n", " \t "])
@pytest.mark.parametrize("key", sorted({*KEYS} - {"repository"}))
def test_a_key_that_is_blank_is_as_if_it_were_not_there(key: str, blank: str) -> None:
    assert parse(configmap({"repository": URL, key: blank})) == parse(configmap())


@pytest.mark.parametrize("blank", ["", " "])
def test_blank_annotations_are_as_if_they_were_not_there(blank: str) -> None:
    keys = ("trigger", "cancel", "from", "only", "set", "rerun")
    assert parse(configmap(annotations={f"coachwork.io/{key}": blank for key in keys})) == parse(configmap())
    wishes = {f"coachwork.io/{key}": f"t {blank}" for key in keys[2:]}
    assert parse(configmap(annotations={"coachwork.io/trigger": "t", **wishes})) == replace(
        parse(configmap()), trigger="t"
    )


def test_a_blank_repository_is_missing_and_a_variable_may_be_blank() -> None:
    assert problems(configmap({"repository": " "}))[0].startswith("repository: missing")
    assert parse(configmap({"repository": URL, "env.A": "", "env.B": " "})).env == (("A", ""), ("B", " "))


def test_a_refusal_has_its_reason() -> None:
    with pytest.raises(Invalid) as refused:
        parse({})
    assert refused.value.reason == "InvalidRequest"


def test_all_problems_come_at_once() -> None:
    bad = configmap({"ref": "-x", "keep-runs": "none", "suspend": "yes", "refs": "main", "env.PATH": "/"}, name="A")
    starts = [line.split(":")[0] for line in problems(bad)]
    assert sorted(starts) == ["env.PATH", "keep-runs", "metadata.name", "ref", "refs", "repository", "suspend"]


BAD = {
    "time-zone": ("Europe/Paris", "needs schedule: add one, or remove it"),
    "on-overlap": ("wait", 'expected queue, replace or skip, got "wait"'),
    "poll": ("9s", "expected a duration like 30s, 5m, 2h or 1h30m from 10s to 8784h, got "),
    "deadline": ("0s", "expected a duration like 30s, 5m, 2h or 1h30m from 1s to 8784h, got "),
    "keep-runs": ("٣", "expected a whole number from 1 to 30"),
    "ref": ("a..b", 'expected a branch, a tag or a commit, got "a..b"'),
    "path": ("../x", 'expected a folder inside the repository, like models/iris, got "../x"'),
    "repositry": ("x", "unknown key: did you mean repository?"),
    "repository": ("https://user:s3cret@host/a", "it holds credentials"),
}


@pytest.mark.parametrize(("key", "value", "sentence"), [(key, *rest) for key, rest in BAD.items()])
def test_a_bad_value_is_refused_at_its_key(key: str, value: str, sentence: str) -> None:
    (line,) = problems(configmap({"repository": URL, key: value}))
    assert line.startswith(f"{key}: {sentence}")
    assert "s3cret" not in line


def test_a_blank_schedule_is_none_and_all_variables_together_are_bounded() -> None:
    assert problems(with_(schedule=" ", time_zone="Europe/Paris"))[0].startswith("time-zone: needs schedule")
    data = {"repository": URL, **{f"env.A{number}": "x" * 30_000 for number in range(3)}}
    assert problems(configmap(data)) == ("env.*: 90006 characters in all: 65536 at most",)


@pytest.mark.parametrize("key", ["git-secret", "index-secret", "pod-template"])
@pytest.mark.parametrize("name", ["My_Secret", "a b", "-a", "a..b", "x" * 254, "a/b"])
def test_names_that_no_object_can_have_are_refused(key: str, name: str) -> None:
    (line,) = problems(configmap({"repository": URL, key: name}))
    assert line.startswith(f"{key}: expected a name of lower-case letters, digits, - and ., got ")


@pytest.mark.parametrize("value", ["queue", "replace", "skip"])
def test_all_ways_of_overlapping_are_taken(value: str) -> None:
    assert parse(with_(on_overlap=value)).on_overlap == value


@pytest.mark.parametrize("text", ["UPPER", "a b", "a:b:c", "-a", "a" * 600, "host/", "a\n", "a@sha256:1"])
def test_implausible_images_are_refused(text: str) -> None:
    assert problems(with_(image=text))[0].startswith("image: ")


@pytest.mark.parametrize(
    "text",
    ["python", "python:3.12-slim", "ghcr.io/a/b_c:v1", "localhost:5000/a@sha256:" + "0" * 64, "a@sha512:" + "0" * 128],
)
def test_plausible_images_are_taken(text: str) -> None:
    assert parse(with_(image=text)).image == text


@pytest.mark.parametrize("name", ["iris-status", "iris-release", "a" * 53, "Iris", "a.b", "-a", "", None, 5])
def test_names_that_break_the_rules_are_refused(name: Any) -> None:
    assert problems(configmap(name=name))[0].startswith("metadata.name: ")


@pytest.mark.parametrize("name", sorted(variables.RESERVED | {"COACHWORK_RUN", "1A", "A-B", "", "Ä"}))
def test_reserved_and_impossible_variables_are_refused(name: str) -> None:
    assert problems(configmap({"repository": URL, f"env.{name}": "s3cret"}))[0].startswith("env.")


@pytest.mark.parametrize("value", ["s3cret\0", "s3cret\ud800", "s3cret" * 10_000])
def test_values_that_no_variable_can_have_are_refused_unseen(value: str) -> None:
    (line,) = problems(configmap({"repository": URL, "env.A": value}))
    assert "s3cret" not in line


@pytest.mark.parametrize("value", ["x" * 257, "a\nb"])
@pytest.mark.parametrize("key", ["coachwork.io/trigger", "coachwork.io/cancel"])
def test_annotations_are_short_and_printable(key: str, value: Any) -> None:
    (line,) = problems(configmap(annotations={key: value}))
    assert line == f"annotation {key}: expected at most 256 printable characters"


def wishing(**wishes: str) -> dict[str, Any]:
    """Return a request whose trigger is `t 1`, with these annotations."""
    return configmap(annotations={"coachwork.io/trigger": "t 1", **{f"coachwork.io/{k}": v for k, v in wishes.items()}})


@pytest.mark.parametrize(("key", "wish"), [("set", '{"A": "1"}'), ("set", "nonsense"), ("rerun", "3"), ("rerun", "x")])
@pytest.mark.parametrize("trigger", ["t", "t 2", ""])
def test_a_wish_of_another_trigger_is_not_read(key: str, wish: str, trigger: str) -> None:
    request = parse(wishing(**{key: f"{trigger} {wish}"}))
    assert (request.parameters, request.rerun) == ((), 0)


@pytest.mark.parametrize("wish", ["A=1", "[]", '{"A": "1", "A": "2"}', "{" * 9000])
def test_parameters_that_are_not_a_mapping_are_refused(wish: str) -> None:
    (line,) = problems(wishing(set=f"t 1 {wish}"))
    assert line.startswith('annotation coachwork.io/set: expected TRIGGER {"NAME": "value"}')


@pytest.mark.parametrize(
    ("given", "named"), [({"PATH": "s3cret"}, '"PATH"'), ({"A-B": "s3cret"}, '"A-B"'), ({"A": "s3cret\0"}, '"A"')]
)
def test_parameters_that_no_variable_can_be_are_refused_without_their_values(given: dict[str, str], named: str) -> None:
    (line,) = problems(wishing(set=f"t 1 {json.dumps(given)}"))
    assert named in line
    assert "s3cret" not in line


@pytest.mark.parametrize("value", ["1", "{}", "null"])
def test_parameters_that_are_not_text_are_refused(value: str) -> None:
    (line,) = problems(wishing(set=f't 1 {{"A": {value}}}'))
    assert line == 'annotation coachwork.io/set: "A": expected text: put the value in quotes'


def test_parameters_are_bounded_in_all() -> None:
    (line,) = problems(wishing(set=f't 1 {{"A": "{"x" * 20_000}"}}'))
    assert line == "annotation coachwork.io/set: expected at most 16384 printable characters"


@pytest.mark.parametrize("wish", ["0", "-1", "x", "1.0", "٣", "1234567890"])
def test_a_run_to_repeat_is_a_run_s_number(wish: str) -> None:
    (line,) = problems(wishing(rerun=f"t 1 {wish}"))
    assert line.startswith("annotation coachwork.io/rerun: expected TRIGGER RUN")


@pytest.mark.parametrize("data", [5, [], {}])
def test_without_data_the_repository_is_missing(data: Any) -> None:
    assert any(line.startswith("repository: missing") for line in problems(configmap(data)))


def test_binary_data_and_numbers_are_problems() -> None:
    bad = configmap({"repository": URL, "keep-runs": 5}, binaryData={"ref": "AAAA"})
    assert problems(bad) == (
        "ref: is in binaryData: write it as text in data",
        "keep-runs: expected text: put the value in quotes",
    )


@pytest.mark.parametrize(
    "field", ["ref", "path", "image", "project_name", "repository", "index_secret", "pod_template"]
)
def test_the_digest_changes_with_what_changes_what_runs(field: str) -> None:
    request = parse(configmap())
    changed: Any = {field: "x"}
    assert digest(request) != digest(replace(request, **changed))
    assert digest(request) != digest(replace(request, env=(("A", "1"),)))


def test_the_digest_stays_when_nothing_else_would_run() -> None:
    request = parse(configmap())
    other = replace(
        request,
        name="b",
        uid="2",
        suspend=True,
        keep_runs=9,
        deadline=5,
        run_on_create=False,
        trigger="1",
        cancel="2",
        schedule="@daily",
        time_zone="UTC",
        poll=60,
        on_overlap="replace",
        git_secret="g",
        parameters=(("A", "1"),),
        rerun=3,
    )
    assert digest(request) == digest(other)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
keys = st.sampled_from([*KEYS, "env.A"])


@settings(deadline=None)
@given(data=st.dictionaries(keys | st.text(), st.text() | anything) | anything, annotations=anything, name=anything)
def test_any_object_gives_a_request_or_printable_problems(data: Any, annotations: Any, name: Any) -> None:
    for line in problems(configmap(data, name=name, annotations=annotations, binaryData=data)):
        assert line.isprintable()


@pytest.mark.parametrize("hidden", ["\u200d", "\u200b", "\ufeff", "\u00ad", "\u202e", "\u00a0"])
def test_a_character_that_nobody_sees_is_named_where_it_is(hidden: str) -> None:
    lines = problems(with_(ref=f"feature/{hidden}x", path=f"{hidden}ml"))
    assert lines == (
        f'ref: holds the invisible character U+{ord(hidden):04X} after "feature/": delete it',
        f"path: holds the invisible character U+{ord(hidden):04X} at its start: delete it",
    )
    (line,) = problems(with_(repository=f"https://git.example/{hidden}iris"))
    assert line == f"repository: holds the invisible character U+{ord(hidden):04X}: delete it"
