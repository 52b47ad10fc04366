"""Each answer of an API server is one error of ours, with one bounded line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.adapters.kube.examine import warning
from controller.adapters.kube.kinds import RIGHTS, Method, permitted
from controller.adapters.kube.translate import ObjectGone, answer, failure
from controller.core.errors import AlreadyExists, Conflict, Expired, NotYet, Refused, Transient
from controller.core.model import Object

calm = settings(deadline=None)  # a busy machine is no failure


def said(code: int, status: Object | None = None, **headers: str) -> Exception:
    """Return the error for an answer of the API server, or for a page of something before it."""
    own = {"kind": "Status", **status} if isinstance(status, dict) else status
    body = json.dumps(own).encode() if status is not None else b"<html>"
    return failure(answer(code, {key.replace("_", "-"): value for key, value in headers.items()}, body))


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (400, {}, Refused), (401, {}, Transient), (403, {}, Refused), (404, {}, ObjectGone), (409, {}, Conflict),
        (404, {"details": {"kind": "namespaces"}}, NotYet), (410, {}, Expired), (413, None, Refused),
        (403, {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}, NotYet),
        (409, {"reason": "AlreadyExists"}, AlreadyExists), (409, {"reason": "Conflict"}, Conflict), (422, {}, Refused),
        (422, {"details": {"causes": [{"field": "metadata.uid"}]}}, Conflict),
        (422, {"details": {"causes": [{"field": "spec.replicas"}, 7]}}, Refused),
        (422, {"details": {"causes": 7}}, Refused), (422, {"details": 7}, Refused),
        (302, None, Transient), (408, {}, Transient),
        (429, {}, Transient), (500, {}, Transient), (502, None, Transient), (503, {}, Transient),
    ],
)  # fmt: skip
def test_each_code_is_one_error(code: int, status: Object | None, expected: type[Exception]) -> None:
    assert type(said(code, status)) is expected


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"message": '.spec.template.spec.containers[0].env: duplicate entries for key [name="A"]'}, "ServerError"),
        ({"message": "etcdserver: request timed out"}, "ApiUnavailable"),
        ({"reason": "InternalError", "message": "failed calling webhook: connection refused"}, "ApiUnavailable"),
    ],
)
def test_a_server_s_trouble_differs_from_an_object_that_it_can_t_take(status: Object, reason: str) -> None:
    error = said(500, status)
    assert isinstance(error, Transient)
    assert error.reason == reason


@pytest.mark.parametrize("code", [302, 400, 403, 404, 409, 410, 422, 500, 501, 502])
@pytest.mark.parametrize("body", [b"<html>", b"[7]", b"{}", b'{"message": "not found"}', b"default backend - 404"])
def test_what_something_before_the_server_says_is_no_fact_about_an_object(code: int, body: bytes) -> None:
    error = failure(answer(code, {}, body))
    assert isinstance(error, Transient)
    assert error.reason == "ApiUnavailable"


def test_a_missing_right_or_quota_differs_from_a_bad_object() -> None:
    assert [getattr(said(code, {}), "forbidden", None) for code in (403, 422)] == [True, False]


@pytest.mark.parametrize(
    ("wish", "delay"), [("7", 7.0), ("99999", 300.0), ("-1", None), ("x", None), ("", None), ("²", None)]
)
def test_a_server_s_wish_for_a_delay_is_kept_within_bounds(wish: str, delay: float | None) -> None:
    error = said(429, {}, Retry_After=wish)
    assert isinstance(error, Transient)
    assert error.retry_after == delay


def test_a_proxy_s_page_is_not_shown() -> None:
    assert str(said(502)) == "API server: HTTP 502"


@calm
@given(st.integers(min_value=300, max_value=599), st.text())
def test_a_sentence_is_one_bounded_printable_line(code: int, text: str) -> None:
    sentence = str(said(code, {"message": text}))
    assert sentence.isprintable()
    assert len(sentence) < 400
    assert sentence == str(said(code, {"message": text}))


@calm
@given(st.binary(max_size=200), st.integers(min_value=300, max_value=599))
def test_no_body_is_a_defect(body: bytes, code: int) -> None:
    assert str(failure(answer(code, {}, body)))


@pytest.mark.parametrize("method", ["list", "watch", "create", "apply", "replace", "delete"])
def test_secrets_can_only_be_read_one_by_one(method: Method) -> None:
    assert RIGHTS["", "secrets"] == {"get"}
    with pytest.raises(KeyError):
        permitted("Secret", method)


def test_a_warning_is_its_text_without_quotes_and_escapes() -> None:
    header = '299 - "would violate PodSecurity \\"restricted:latest\\": privileged"'
    assert warning(header) == 'would violate PodSecurity "restricted:latest": privileged'
    assert warning("nothing of that form") == "nothing of that form"


def test_creating_by_server_side_apply_needs_both_verbs() -> None:
    assert {"create", "patch"} <= RIGHTS["apps", "deployments"]


def test_what_is_watched_is_listed_first() -> None:
    watching = [verbs for verbs in RIGHTS.values() if "watch" in verbs]
    assert watching
    assert all("list" in verbs for verbs in watching)


def test_no_verb_is_granted_that_no_method_uses() -> None:
    assert RIGHTS["", "pods"] == {"list", "watch"}
    assert RIGHTS["batch", "jobs"] == {"get", "list", "watch", "create", "delete"}
