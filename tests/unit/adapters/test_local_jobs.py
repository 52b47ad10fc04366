"""The Job controller of the local cluster, told of changes in an order in which threads may bring them."""

from controller.adapters.local.jobs import Jobs
from controller.adapters.local.schedule import Scheduler
from controller.adapters.local.store import Change, Store
from controller.core.facts.pods import index_of


def test_an_index_that_has_ended_unseen_is_not_started_again() -> None:
    store = Store("x")
    jobs = Jobs(store, Scheduler(), back_off=1.0)
    indexed = {"completionMode": "Indexed", "completions": 4, "parallelism": 4, "backoffLimitPerIndex": 0}
    spec = {**indexed, "template": {"spec": {}}}
    job = store.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "sweep"}, "spec": spec})
    jobs.changed(Change(None, job))
    uid, told = job["metadata"]["uid"], set[str]()
    while fresh := [pod for pod in store.owned(uid, "Pod") if pod["metadata"]["uid"] not in told]:
        for pod in fresh:
            store.note(pod, {"phase": "Succeeded"})  # all of them, before the first end is looked at
        for pod in fresh:
            told.add(pod["metadata"]["uid"])
            jobs.changed(Change(pod, store.get("Pod", pod["metadata"]["name"])))
    assert sorted(index_of(pod) or 0 for pod in store.owned(uid, "Pod")) == [0, 1, 2, 3]
    ended = store.get("Job", "sweep")
    assert ended
    assert ended["status"]["completedIndexes"] == "0-3"
