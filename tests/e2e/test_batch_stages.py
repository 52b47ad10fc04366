"""Batch stages: order, attempts, limits, and what a failure shows."""

import json
from functools import partial

from controller.core.names import COMPLETION_INDEX
from tests.support.e2e import NAMESPACE, Coachwork, told
from tests.support.e2e_projects import batch, project
from tests.support.kubectl import eventually, kubectl

# Notes when a script began and when it ended. The clock is the node's, the same for all pods.
SPAN = """
import json, os, pathlib, time
began = time.time()
time.sleep({seconds})
folder = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
(folder / (os.environ["COACHWORK_STAGE"] + ".json")).write_text(json.dumps([began, time.time()]))
"""
# Counts its starts in a file that outlives the pod.
COUNT = """
import os, pathlib
with open(pathlib.Path(os.environ["COACHWORK_CACHE"]) / "starts", "a") as file:
    print(os.environ["COACHWORK_ATTEMPT"], file=file)
"""


def test_a_failing_stage_shows_exit_code_last_words_and_file(coachwork: Coachwork) -> None:
    name = coachwork.name("fails")
    script = "print('all is well so far')\nraise ValueError('column petal_width is missing')\n"
    record = coachwork.start(name, project(name, "prepare >> never", batch("prepare", script), batch("never", "")))
    assert (record["phase"], record["reason"]) == ("Failed", "ExitCode")
    assert (record["stage.prepare"], record["stage.never"]) == ("Failed", "Skipped")
    for part in (
        "stage prepare",
        "prepare/main.py:2",
        "exited with code 1",
        "ValueError: column petal_width is missing",
    ):
        assert part in record["message"]
    assert "\n" not in record["message"]
    assert len(record["message"].encode()) <= 1024
    assert "all is well so far" in coachwork.run_file(name, 1, "logs/prepare/1.log")
    told = {event["reason"]: event["message"] for event in coachwork.events(name)}
    assert "column petal_width is missing" in told["RunFailed"]
    assert "RunStarted" in told
    assert not coachwork.objects(name, "deployments,services")


def test_stages_of_a_step_overlap_and_steps_never_do(coachwork: Coachwork) -> None:
    name = coachwork.name("steps")
    stages = [batch(stage, SPAN.format(seconds=5)) for stage in ("first", "left", "right", "last")]
    record = coachwork.start(name, project(name, "first >> left, right >> last", *stages))
    assert record["phase"] == "Ready", told(record)
    spans = {
        stage: json.loads(coachwork.run_file(name, 1, f"artifacts/{stage}.json"))
        for stage in ("first", "left", "right", "last")
    }
    assert max(spans["left"][0], spans["right"][0]) < min(spans["left"][1], spans["right"][1])
    assert spans["first"][1] <= min(spans["left"][0], spans["right"][0])
    assert max(spans["left"][1], spans["right"][1]) <= spans["last"][0]


def test_retries_run_a_stage_again_until_it_succeeds(coachwork: Coachwork) -> None:
    name = coachwork.name("retries")
    script = f"{COUNT}\nimport sys\nsys.exit(0 if os.environ['COACHWORK_ATTEMPT'] == '3' else 4)\n"
    record = coachwork.start(name, project(name, "flaky", batch("flaky", script, retries=2)))
    assert (record["phase"], record["stage.flaky"]) == ("Ready", "Done"), told(record)
    assert coachwork.stages(record)["flaky"]["attempts"] == 3
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["1", "2", "3"]
    assert '"exit_code": 4' in coachwork.run_file(name, 1, "logs/flaky/2.json")


# Of three indexes, one waits in its first attempt until somebody ends it, and one fails for good.
MANY = """
import os, time
index, attempt = os.environ["COACHWORK_INDEX"], os.environ["COACHWORK_ATTEMPT"]
print("index", index, "attempt", attempt, flush=True)
if (index, attempt) == ("1", "1"):
    time.sleep(3600)
if index == "2":
    import no_such_module
"""


def test_an_index_that_is_killed_and_one_that_fails_leave_the_others_alone(coachwork: Coachwork) -> None:
    name = coachwork.name("many")
    coachwork.git.push(name, project(name, "sweep", batch("sweep", MANY, retries=2, more="PARALLEL = 3")))
    coachwork.request(name)
    log = partial(coachwork.run_file, name, 1, "logs/sweep/1/1.log")
    eventually(lambda: "index 1 attempt 1" in log(), "the first attempt of index 1")
    (pod,) = (item for item in coachwork.pods(name) if item["metadata"]["labels"].get(COMPLETION_INDEX) == "1")
    kubectl("-n", NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--wait=false")
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Failed", "ImportError"), told(record)
    assert record["message"].startswith("stage sweep: index 2: sweep/main.py:8: "), record["message"]
    (job,) = coachwork.objects(name, "jobs")
    assert (job["status"]["completedIndexes"], job["status"]["failedIndexes"]) == ("0,1", "2")
    kept = json.loads(coachwork.run_file(name, 1, "run.json"))["stages"]["sweep"]["attempts"]
    assert [(one["index"], one["number"]) for one in kept] == [(0, 1), (1, 1), (1, 2), (2, 1)]


def test_a_stage_that_prints_a_gigabyte_ends_and_its_log_is_capped(coachwork: Coachwork) -> None:
    name = coachwork.name("shouts")
    script = "import sys\nfor _ in range(1 << 14):\n    sys.stdout.write(('x' * 1023 + chr(10)) * 64)\nprint('done')\n"
    coachwork.git.push(name, project(name, "shout", batch("shout", script, seconds=300)))
    coachwork.request(name)
    record = coachwork.ended(name, seconds=400)
    assert record["phase"] == "Ready", told(record)
    logs = f"/var/lib/coachwork/runs/{name}-{coachwork.uid(name)}/1/logs/shout/1.log"
    assert int(coachwork.shell("stat", "-c", "%s", logs)) < 70 << 20
    assert "cap" in coachwork.shell("tail", "-c", "500", logs)
