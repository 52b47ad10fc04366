"""A request is never lost, whatever the API server does; and it is never called again without a pause."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.adapters.kube.cluster import Kube, connect
from controller.adapters.kube.limit import MOST, Limit
from controller.adapters.kube.transport import Timeouts
from controller.adapters.kube.watch import FIRST_PAUSE
from controller.core.errors import Conflict, Invalid, NotYet, Refused, Transient
from controller.reconciler import View
from tests.support.apiproxy import ApiServer, Fault, cut, mute, redirect, silence, status, stream
from tests.support.eventually import eventually
from tests.support.workloads import config_map

FIRM = Timeouts(connect=2, read=2, silence=1)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    api = ApiServer()
    yield api
    api.stop()


@pytest.fixture
def keys() -> list[str]:
    """The requests that were woken, one after the other."""
    return []


@pytest.fixture
def view(keys: list[str]) -> View:
    return View(keys.append)


@pytest.fixture
def join(server: ApiServer, tmp_path: Path, view: View) -> Iterator[Callable[..., Kube]]:
    """Return a function that starts to watch and waits for the first lists."""
    kubes = []

    def start(timeouts: Timeouts = FIRM) -> Kube:
        kube = connect(kubeconfig=server.kubeconfig(tmp_path / "config"), timeouts=timeouts)
        kubes.append(kube)
        kube.start(view.changed)
        assert kube.wait_synced(20)
        return kube

    yield start
    for kube in kubes:
        kube.stop()


def sees(view: View, *names: str) -> None:
    eventually(lambda: tuple(view.requests()) == names)


def test_every_page_of_the_first_list_is_read(server: ApiServer, join: Callable[..., Kube], view: View) -> None:
    for name in "abcde":
        server.put(name)
    kube = join()
    assert view.requests() == list("abcde")
    assert kube.namespace == "ns"
    assert view.request("a")["kind"] == "ConfigMap"  # type: ignore[index]


def test_each_change_is_reported_with_the_name_of_its_request(
    server: ApiServer, join: Callable[..., Kube], keys: list[str]
) -> None:
    join()
    server.put("iris")
    server.put("iris", ref="main")
    server.remove("iris")
    eventually(lambda: len(keys) == 3)
    assert set(keys) == {"iris"}


def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    server: ApiServer, join: Callable[..., Kube], view: View
) -> None:
    server.put("before")
    server.put("deleted")
    kube = join()
    server.stop()
    server.remove("deleted")
    server.put("while-away")
    assert view.requests() == ["before", "deleted"]
    server.start()
    sees(view, "before", "while-away")
    assert kube.healthy


def test_a_half_open_watch_is_given_up(server: ApiServer, join: Callable[..., Kube], view: View) -> None:
    server.script("watch", silence)
    join()
    server.put("iris")
    sees(view, "iris")


def test_a_server_that_takes_the_request_and_never_answers_is_given_up(
    server: ApiServer, join: Callable[..., Kube], view: View
) -> None:
    server.script("watch", mute)
    join()
    server.put("iris")
    sees(view, "iris")


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize(
    "fault",
    [
        status(500), status(429, retry_after="1"), status(503), status(401), status(403), status(410), cut(b""),
        cut(b'{"type": "ADDED", "object": {"metadata": {"na'), stream(b"no JSON\n"), stream(b"[]\n"), stream(b"\xff\n"),
        stream(b'{"type": "ADDED", "object": {"metadata": {"name": "ghost"}}}\n'), stream(b""), stream(b"[" * 99999),
        stream(b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": "999"}}}\n'), redirect("http://x.invalid"),
        stream(b'{"type": "STRANGE", "object": {"metadata": {"resourceVersion": "999"}}}\n'),
        stream(b'{"type": "ERROR", "object": {"kind": "Status", "code": 500}}\n'),
    ],
)  # fmt: skip
def test_after_a_bad_answer_nothing_is_missing(
    server: ApiServer, join: Callable[..., Kube], verb: str, fault: Callable[..., None], view: View
) -> None:
    server.script(verb, fault)
    server.put("before")
    kube = join()
    server.put("iris")
    sees(view, "before", "iris")
    assert kube.healthy
    assert server.count("list") <= 3
    assert server.count("watch") <= 4


def test_a_line_cut_in_the_middle_comes_again_whole(server: ApiServer, join: Callable[..., Kube], view: View) -> None:
    iris = server.put("iris", ref="main")
    line = json.dumps({"type": "MODIFIED", "object": {**iris, "data": {"ref": "cut"}}}).encode()
    server.script("watch", cut(line[:-20]))
    join()
    server.put("iris", ref="next")
    eventually(lambda: view.request("iris")["data"]["ref"] == "next")  # type: ignore[index]


def test_what_vanished_while_the_version_expired_is_reported_as_deleted(
    server: ApiServer, join: Callable[..., Kube], view: View, keys: list[str]
) -> None:
    server.put("iris")
    server.put("stays")
    server.script("watch", silence)
    join()
    keys.clear()
    server.remove("iris")
    server.compact()
    sees(view, "stays")
    assert keys == ["iris"]


def test_an_expiry_in_the_middle_of_a_watch_leads_to_a_new_list(
    server: ApiServer, join: Callable[..., Kube], view: View
) -> None:
    server.script("watch", stream(b'{"type": "ERROR", "object": {"kind": "Status", "code": 410}}\n'))
    join()
    server.put("iris")
    sees(view, "iris")
    assert server.count("list") == 2


def test_a_server_restored_from_a_backup_is_believed(server: ApiServer, join: Callable[..., Kube], view: View) -> None:
    server.put("lost")
    join()
    server.restore()
    server.put("iris")
    server.script("watch", *[status(504)] * 3)  # the version is in its future now
    server.stop()
    server.start()
    sees(view, "iris")


def test_a_server_that_ends_every_watch_at_once_is_not_asked_without_a_pause(
    server: ApiServer, join: Callable[..., Kube]
) -> None:
    server.script("watch", *[stream(b"")] * 100)
    began = time.monotonic()
    join()
    eventually(lambda: server.count("watch") >= 6)
    pauses = sum(FIRST_PAUSE * 2**failures / 2 for failures in range(1, 6))
    assert time.monotonic() - began >= pauses  # holds on the slowest machine too


@pytest.mark.timeout(60)
def test_watches_that_pause_try_again_at_once_where_the_server_is_known_to_answer(
    server: ApiServer, join: Callable[..., Kube]
) -> None:
    server.script("watch", *[status(500)] * 100)
    kube = join()
    while server.count("watch") < 40:  # with pauses that would take ten minutes
        kube.hurry()
        threading.Event().wait(0.01)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("fault", [silence, mute])
def test_stop_waits_for_no_answer(server: ApiServer, join: Callable[..., Kube], fault: Callable[..., None]) -> None:
    server.script("watch", fault)
    kube = join(Timeouts(silence=300))
    eventually(lambda: server.count("watch"))
    kube.stop()
    assert not kube.healthy


@pytest.mark.timeout(30)
def test_stop_waits_for_no_pause(server: ApiServer, join: Callable[..., Kube]) -> None:
    server.script("watch", *[status(429, retry_after="300")] * 9)
    kube = join()
    kube.stop()
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "watch-ConfigMap"])


@pytest.mark.parametrize(
    "fault", [status(429, retry_after="60"), status(503, retry_after="60"), status(500, retry_after="60")]
)
def test_a_server_that_asks_for_a_pause_gets_no_call_meanwhile(server: ApiServer, tmp_path: Path, fault: Fault) -> None:
    turns: list[tuple[int, float]] = []
    limit = Limit(lambda *turn: turns.append(turn))
    kube = connect(kubeconfig=server.kubeconfig(tmp_path / "config"), limit=limit)
    kube.create(config_map("iris"))
    server.script("create", fault)
    for name in ("wine", "beer"):
        with pytest.raises(Transient) as caught:
            kube.create(config_map(name))
        assert 0 < (caught.value.retry_after or 0) <= 60
    assert server.count("create") == 2
    assert [present for present, _ in turns] == [MOST, MOST, 1, 1]  # two turns, the fall, and one that gave up
    assert limit.present == 1
    kube.stop()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (status(429, retry_after="7"), Transient),
        (status(500), Transient),
        (status(409, "Conflict"), Conflict),
        (status(422, "Invalid"), Refused),
        (cut(b"{"), Transient),
        (stream(b"no JSON"), Transient),
        (mute, Transient),
        (redirect("http://127.0.0.1:1/"), Transient),
    ],
)
def test_a_write_that_fails_is_translated_and_not_repeated(
    server: ApiServer, join: Callable[..., Kube], fault: Callable[..., None], expected: type[Exception]
) -> None:
    kube = join()
    server.script("create", fault)
    with pytest.raises(expected) as caught:
        kube.create({"kind": "ConfigMap", "metadata": {"name": "iris"}})
    assert server.count("create") == 1
    assert "\n" not in str(caught.value)
    assert getattr(caught.value, "retry_after", None) == (7.0 if "429" in str(caught.value) else None)


@pytest.mark.parametrize("fault", [stream(b"{}"), stream(b'{"kind": "Status"}'), status(404), status(409), status(410)])
def test_a_list_that_is_none_is_not_taken_for_an_empty_one(server: ApiServer, tmp_path: Path, fault: Fault) -> None:
    server.put("iris")
    kube = connect("ns", kubeconfig=server.kubeconfig(tmp_path / "config"))
    server.script("list", fault)
    with pytest.raises(Transient):
        kube.references()  # what these lists lack is swept from the volume


@pytest.mark.parametrize("fault", [status(410), status(409), status(409, "AlreadyExists"), status(404), stream(b"{}")])
def test_a_question_about_rights_that_fails_in_any_way_is_one_of_our_errors(
    server: ApiServer, tmp_path: Path, fault: Fault
) -> None:
    kube = connect("ns", kubeconfig=server.kubeconfig(tmp_path / "config"))
    server.script("create", *[fault] * 99, resource="selfsubjectaccessreviews")
    with pytest.raises((Conflict, Transient)):
        kube.examiner().lacking()


def test_our_own_write_is_read_before_the_watch_brings_it(
    server: ApiServer, join: Callable[..., Kube], view: View
) -> None:
    server.script("watch", silence)
    kube = join(Timeouts(silence=300))
    kube.create({"kind": "ConfigMap", "metadata": {"name": "iris"}})
    assert view.requests() == ["iris"]


def test_a_server_that_is_away_is_a_transient_error_without_addresses(
    server: ApiServer, join: Callable[..., Kube]
) -> None:
    kube = join()
    server.stop()
    with pytest.raises(Transient, match=r"^API server: connection refused$") as caught:
        kube.get("Job", "iris")
    assert caught.value.reason == "ApiUnavailable"


def test_each_call_is_counted_with_its_verb_resource_and_code(server: ApiServer, tmp_path: Path) -> None:
    calls = []
    kube = connect(
        "ns",
        kubeconfig=server.kubeconfig(tmp_path / "config"),
        on_call=lambda verb, resource, code, _: calls.append((verb, resource, code)),
    )
    kube.create({"kind": "ConfigMap", "metadata": {"name": "iris"}})
    server.stop()
    with pytest.raises(Transient):
        kube.pods_of_job("uid")
    assert calls == [("create", "configmaps", 201), ("list", "pods", 0)]


def test_a_namespace_that_goes_away_is_waited_for(server: ApiServer, join: Callable[..., Kube]) -> None:
    causes = {"kind": "Status", "details": {"causes": [{"reason": "NamespaceTerminating"}]}, "message": "forbidden"}
    kube = join()
    server.script("create", lambda handler: handler.answer(403, causes))
    with pytest.raises(NotYet):
        kube.create({"kind": "ConfigMap", "metadata": {"name": "iris"}})


@pytest.mark.parametrize("text", ["", "{", "apiVersion: v1\nclusters: 7\n", "[]", "\0"])
def test_a_malformed_kubeconfig_is_a_user_s_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(Invalid) as caught:
        connect(kubeconfig=str(tmp_path / "config"))
    assert str(tmp_path / "config") in caught.value.problems[0]


def test_a_kubeconfig_that_is_missing_is_a_user_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no-such-file"):
        connect(kubeconfig=str(tmp_path / "no-such-file"))
