"""What answers in place of the API server or the controller may claim what it likes: commands end with one line."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.adapters.kube.person import Person, join
from controller.cli import artifacts, doctor
from controller.cli.requests import Requests
from controller.core.errors import Transient
from tests.support.apiproxy import ApiServer, Fault, cut, declare, stream

HUGE = 1 << 40  # bytes that no machine here has
BOUND = 32 << 20  # bytes that a command may take to find that out
CALLS: dict[str, tuple[str, Callable[[Person, Path], object]]] = {
    "list": ("configmaps", lambda person, _: Requests(person).all()),
    "object": ("demo", lambda person, _: Requests(person).one("demo")),
    "doctor": ("doctor", lambda person, _: person.answer("api", "doctor")),
    "record": ("1", lambda person, _: person.answer("api", "runs", "demo", "1")),
    "log": ("train", lambda person, _: list(person.page("api", "logs", "demo", "train", query={"follow": "1"}))),
    "artifact": ("model", lambda person, here: artifacts.fetch(person, "demo", "1", "model", here / "model")),
    "artifacts": ("1", lambda person, here: artifacts.fetch_all(person, "demo", "1", "", here / "all")),
}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    api = ApiServer()
    yield api
    api.stop()


@pytest.fixture
def person(server: ApiServer, tmp_path: Path) -> Iterator[Person]:
    person = join(kubeconfig=server.kubeconfig(tmp_path / "config"))
    yield person
    person.close()


@pytest.fixture
def _little_memory() -> Iterator[None]:
    """Count what is allocated, also where the kernel would grant it: one that overcommits grants anything."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < BOUND


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize("what", CALLS)
def test_a_declared_length_is_never_allocated(server: ApiServer, person: Person, tmp_path: Path, what: str) -> None:
    resource, call = CALLS[what]
    server.script("list", declare(HUGE), resource=resource)
    with pytest.raises(Transient):
        call(person, tmp_path)
    assert not (tmp_path / "model").exists()  # an artifact is whole or not there


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize(
    "fault",
    [declare(HUGE), declare(HUGE, b"[" * 100_000), cut(b"[]"), cut(b'{"findings": 1, "version"')],
    ids=["declares more", "nests too deep", "breaks off", "breaks off inside"],
)
def test_an_answer_of_another_program_is_not_taken_for_an_examination(server: ApiServer, fault: Fault) -> None:
    server.script("list", fault, resource="doctor")
    with pytest.raises(Transient, match="controller"):
        doctor.own(server.port, "token")


@pytest.mark.usefixtures("proxied")
def test_the_controller_of_this_pod_is_called_without_a_proxy(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody answers
    server.script("list", stream(b'{"version": "1.2.3", "findings": []}'), resource="doctor")
    assert [finding.message.partition(",")[0] for finding in doctor.own(server.port, "token")] == [
        "answers",
        "the controller is 1.2.3",
    ]
