"""Names are valid, bounded, the same for the same input, and distinct where that is promised."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from controller.core import names

calm = settings(deadline=None)  # a busy machine is no failure

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
RFC_1035 = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")

requests = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", fullmatch=True)
texts = st.text(max_size=200)
runs = st.integers(min_value=1, max_value=10**9)


@calm
@given(requests, texts, runs)
def test_a_job_s_name_is_a_dns_label_of_at_most_63_characters(request: str, stage: str, run: int) -> None:
    name = names.job(request, stage, run)
    assert LABEL.fullmatch(name)
    assert len(name) <= 63
    assert name == names.job(request, stage, run)
    assert name.endswith(f"-{run}")


@calm
@given(requests, texts, runs, runs)
def test_jobs_of_two_runs_never_share_a_name(request: str, stage: str, one: int, other: int) -> None:
    assume(one != other)
    assert names.job(request, stage, one) != names.job(request, stage, other)


@calm
@given(requests, st.lists(st.from_regex(r"[a-z]([a-z0-9-]{0,80}[a-z0-9])?", fullmatch=True), min_size=2, unique=True))
def test_stages_with_distinct_kubernetes_names_have_distinct_jobs(request: str, stages: list[str]) -> None:
    assert len({names.job(request, stage, 7) for stage in stages}) == len(stages)


@calm
@given(texts, texts)
def test_a_service_s_name_is_one_of_rfc_1035(project: str, stage: str) -> None:
    name = names.service(project, stage)
    assert RFC_1035.fullmatch(name)
    assert len(name) <= 63
    assert name == names.service(project, stage)


@calm
@given(st.text("ab", min_size=64), st.text("ab", min_size=64))
def test_what_is_cut_stays_distinct_by_its_hash(one: str, other: str) -> None:
    assume(one != other)
    assert names.bounded(one) != names.bounded(other)


@pytest.mark.parametrize(
    ("project", "stage", "name"),
    [("iris", "serve", "iris--serve"), ("Iris_1", "serve_it", "iris-1--serve-it"), ("1st", "serve", "s-1st--serve")],
)
def test_short_service_names_are_as_bodywork_made_them(project: str, stage: str, name: str) -> None:
    assert names.service(project, stage) == name


def test_a_job_is_named_after_request_stage_and_run() -> None:
    assert names.job("iris", "train_a", 7) == "iris-train-a-7"


@calm
@given(texts)
def test_a_kubernetes_name_is_never_empty_and_stays_as_it_is(name: str) -> None:
    plain = names.kubernetes_name(name)
    assert LABEL.fullmatch(plain)
    assert names.kubernetes_name(plain) == plain


@calm
@given(texts)
def test_a_label_value_is_valid(text: str) -> None:
    value = names.label_value(text)
    assert LABEL_VALUE.fullmatch(value)
    assert len(value) <= 63
    assert value == names.label_value(text)


@calm
@given(st.lists(texts, unique=True, min_size=2))
def test_distinct_texts_have_distinct_label_values(items: list[str]) -> None:
    assert len({names.label_value(item) for item in items}) == len(items)


@calm
@given(st.from_regex(LABEL_VALUE, fullmatch=True).filter(lambda text: len(text) <= 63))
def test_a_valid_label_value_is_kept(text: str) -> None:
    assert names.label_value(text) == text


@calm
@given(texts)
def test_a_variable_s_end_is_made_of_capitals_digits_and_underscores(stage: str) -> None:
    assert re.fullmatch(r"[A-Z0-9_]*", names.variable(stage))


def test_a_url_s_variable_is_the_stage_in_capitals() -> None:
    assert names.variable("serve-it") == "SERVE_IT"


@calm
@given(requests)
def test_a_request_s_record_and_release_have_reserved_names(request: str) -> None:
    assert names.status_of(request).endswith(names.RESERVED_SUFFIXES[0])
    assert names.release_of(request).endswith(names.RESERVED_SUFFIXES[1])
