"""The cache ends up with what the server has, in whatever order our own writes and the watch's news come."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.adapters.kube.watch import LONGEST_PAUSE, WatchCache, pause
from controller.core.model import Object
from controller.core.snapshot import Snapshot

calm = settings(deadline=None)  # a busy machine is no failure

Change = tuple[str, Object | None, Object | None]


def thing(name: str, version: int | str, **data: str) -> Object:
    """Build an object."""
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "data": data, "kind": "ConfigMap"}


def empty_cache() -> tuple[WatchCache, list[Change]]:
    """Return a cache and the list of what it reports."""
    changes: list[Change] = []

    def note(kind: str, *held: Snapshot | None) -> None:
        old, new = (one.opened() if one else None for one in held)
        changes.append((kind, old, new))

    return WatchCache("ConfigMap", note), changes


def relist(cache: WatchCache, version: str, *objects: Object) -> None:
    """Let the cache have a whole list."""
    cache.replace(filter(None, map(cache.held, objects)), version)


def test_our_own_write_is_read_at_once_and_reported_once() -> None:
    cache, changes = empty_cache()
    relist(cache, "5")
    cache.put(thing("iris", 7))
    cache.note("ADDED", thing("iris", 7))
    assert cache.get("iris") == thing("iris", 7)
    assert changes == [("ConfigMap", None, thing("iris", 7))]


def test_an_older_event_does_not_overwrite_our_newer_write() -> None:
    cache, _ = empty_cache()
    relist(cache, "5", thing("iris", 5))
    cache.put(thing("iris", 10))
    cache.note("MODIFIED", thing("iris", 9))
    assert cache.get("iris") == thing("iris", 10)


def test_versions_are_compared_as_numbers() -> None:
    cache, _ = empty_cache()
    cache.put(thing("iris", 10))
    cache.put(thing("iris", 9))
    assert cache.get("iris") == thing("iris", 10)


def test_a_late_answer_does_not_bring_back_what_is_deleted() -> None:
    cache, _ = empty_cache()
    relist(cache, "5")
    cache.note("ADDED", thing("iris", 6))
    cache.note("DELETED", thing("iris", 8))
    cache.put(thing("iris", 6))
    assert cache.get("iris") is None


def test_the_deletion_of_its_predecessor_does_not_remove_what_we_created_again() -> None:
    cache, _ = empty_cache()
    relist(cache, "5", thing("iris", 5))
    cache.put(thing("iris", 9))
    cache.note("DELETED", thing("iris", 8))
    assert cache.get("iris") == thing("iris", 9)


def test_a_new_list_keeps_what_we_wrote_after_it_was_made() -> None:
    cache, changes = empty_cache()
    relist(cache, "5", thing("old", 4))
    cache.put(thing("iris", 9))
    changes.clear()
    relist(cache, "8", thing("other", 7))
    assert cache.get("iris") == thing("iris", 9)
    assert changes == [("ConfigMap", thing("old", 4), None), ("ConfigMap", None, thing("other", 7))]


def test_a_list_that_says_nothing_new_reports_nothing() -> None:
    cache, changes = empty_cache()
    relist(cache, "5", thing("iris", 4))
    changes.clear()
    relist(cache, "9", thing("iris", 4))
    assert changes == []


def test_a_history_that_was_set_back_is_believed() -> None:
    cache, changes = empty_cache()
    relist(cache, "95", thing("lost", 90))
    cache.passed("99")
    relist(cache, "10", thing("iris", 4))
    assert replayed(changes) == {"iris": thing("iris", 4)}


def test_versions_that_are_not_numbers_are_taken_as_they_come() -> None:
    cache, changes = empty_cache()
    relist(cache, "a", thing("gone", "x"))
    cache.note("ADDED", thing("iris", "c"))
    cache.note("MODIFIED", thing("iris", "b"))
    assert cache.get("iris") == thing("iris", "b")
    relist(cache, "d")
    assert replayed(changes) == {}


def test_what_we_had_deleted_is_marked_until_the_server_says_otherwise() -> None:
    cache, changes = empty_cache()
    relist(cache, "5", thing("iris", 4))
    cache.leaving("iris", "another's", "now")
    cache.leaving("iris", "", "now")
    assert len(changes) == 1
    uid = {**thing("iris", 6), "metadata": {**thing("iris", 6)["metadata"], "uid": "u1"}}
    cache.note("MODIFIED", uid)
    cache.leaving("iris", "u1", "now")
    assert replayed(changes)["iris"]["metadata"]["deletionTimestamp"] == "now"
    relist(cache, "7", uid)
    assert "deletionTimestamp" not in replayed(changes)["iris"]["metadata"]


def test_a_deletion_of_something_unknown_reports_nothing() -> None:
    cache, changes = empty_cache()
    cache.note("DELETED", thing("iris", 8))
    assert changes == []


history = st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=30)


@calm
@given(history, st.data())
def test_the_cache_converges_however_late_the_watch_or_our_answers_are(
    steps: list[tuple[str, bool, bool]], data: st.DataObject
) -> None:
    cache, changes = empty_cache()
    relist(cache, "1")
    truth: dict[str, Object] = {}
    news: list[tuple[str, Object]] = []
    answers: list[Object] = []
    for version, (name, deleted, ours) in enumerate(steps, start=2):
        item = thing(name, version)
        if deleted and name not in truth:
            continue
        news.append(("DELETED" if deleted else "MODIFIED", item))
        if deleted:
            del truth[name]
        else:
            truth[name] = item
            answers += [item] if ours else []
    while news or answers:
        if answers and (not news or data.draw(st.booleans())):
            cache.put(answers.pop(0))
        else:
            cache.note(*news.pop(0))
    assert {name: cache.get(name) for name in "abc"} == {name: truth.get(name) for name in "abc"}
    assert replayed(changes) == truth


def replayed(changes: list[Change]) -> dict[str, Object]:
    """Return what a listener knows that heard every change."""
    known: dict[str, Object] = {}
    for _, old, new in changes:
        subject = new or old
        assert subject is not None
        name = str(subject["metadata"]["name"])
        assert known.get(name) == old
        known.pop(name, None)
        known.update({name: new} if new else {})
    return known


@calm
@given(st.integers(min_value=0, max_value=10**6))
def test_a_pause_is_never_nothing_and_never_endless(failures: int) -> None:
    assert 0.05 <= pause(failures) <= LONGEST_PAUSE
