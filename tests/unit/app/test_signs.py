"""Who scrapes sees each request as it is, and an old one is not read again."""

from controller.app.live import Watched
from controller.app.signs import LiveSigns
from controller.core import names
from controller.core.documents import status as statuses
from controller.core.model import Record
from controller.core.snapshot import Snapshot
from controller.reconciler import View


def put(view: View, name: str, reason: str, **data: str) -> None:
    metadata = {"name": name, "uid": "u", "labels": {names.ROLE: names.ROLE_REQUEST}}
    request = {"metadata": metadata, "data": {"repository": "https://git.example/iris", **data}}
    for item in (request, statuses.manifest(name, "u", "test", Record("u", "Failed", reason))):
        view.changed("ConfigMap", None, Snapshot.of("ConfigMap", item))


def test_a_request_is_read_again_when_it_changed_and_only_then() -> None:
    view = View(lambda _key: None)
    signs = LiveSigns(Watched(view))
    put(view, "iris", "ExitCode", schedule="@daily")
    put(view, "wine", "TimedOut")
    first, again = (signs.of(["iris", "wine", "gone"]) for _ in range(2))
    assert {name: each.failure for name, each in first.items()} == {"iris": "ExitCode", "wine": "TimedOut"}
    assert (first["iris"].next_slot or 0) % 86_400 == 0
    assert again["wine"] is first["wine"]
    assert again["iris"] is first["iris"]
    put(view, "iris", "OutOfMemory")
    found = signs.of(["iris"])
    assert (found["iris"].failure, found["iris"].next_slot) == ("OutOfMemory", None)
    assert signs.of([]) == {}
