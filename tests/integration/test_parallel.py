"""Stages that run many times at once: on a laptop as a user has them, and what is left of one whose Job is gone."""

import json
from pathlib import Path

import pytest

from controller.core.manifests.pod import PEERS_SECONDS
from tests.support.cli import CommandLine, write
from tests.support.launching import PYTHON_38, Stage
from tests.support.world import REPOSITORY, World, project

SWEEP = """\
import json, os
number = float(os.environ["ALPHA"]) * int(os.environ["DEPTH"])
print("trying", os.environ["COACHWORK_INDEX"], "of", os.environ["COACHWORK_COUNT"])
with open(os.environ["COACHWORK_METRICS"], "w") as file:
    json.dump({"rmse": number}, file)
with open(os.path.join(os.environ["COACHWORK_INDEX_ARTIFACTS"], "model.txt"), "w") as file:
    file.write(str(number))
"""
PICK = """\
import json, os
from pathlib import Path
every = [json.loads(path.read_text()) for path in Path(os.environ["COACHWORK_ARTIFACTS"], "sweep").glob("*/index.json")]
best = min(every, key=lambda one: one["metrics"]["rmse"])
print(len(every), "tried, the best is", best["index"], best["variables"])
"""
EACH = "FOR_EACH = ALPHA: 0.5, 0.1, 0.9; DEPTH: 3, 5\n"


def sweep(script: str = SWEEP, keys: str = EACH, *, retries: int = 0) -> dict[str, str]:
    files = project("sweep >> pick", retries=retries)
    files["sweep/config.ini"] += keys
    return files | {"sweep/run.py": script, "pick/run.py": PICK}


# --- on a laptop -----------------------------------------------------------------------------------


def test_the_next_step_picks_the_best_by_its_numbers(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", sweep(f"{SWEEP}open('lost.txt', 'w').close()\n")))
    ended = coachwork.run("run", folder)
    assert ended.code == 0, ended.err + ended.out
    assert ended.err.count("warning: stage sweep: written files are discarded") == 1
    assert "pick    | 6 tried, the best is 2 {'ALPHA': '0.1', 'DEPTH': '3'}" in ended.out
    for index in range(6):
        assert f"sweep:{index} | trying {index} of 6" in ended.out
    status = coachwork.run("status", "iris", "--local").out
    assert [line.split()[1:] for line in status.splitlines() if line.startswith("sweep   rmse")] == [
        ["rmse.min", "0.3"], ["rmse.mean", "2"], ["rmse.max", "4.5"]
    ]  # fmt: skip
    one = coachwork.run("logs", "iris", "sweep:4", "--local").out
    assert "trying 4 of 6" in one
    assert "index 4 of 6, ALPHA=0.9, DEPTH=3" in one
    every = coachwork.run("logs", "iris", "sweep", "--local").out
    assert [line for line in every.splitlines() if line.startswith("==>")] == [
        f"==> sweep:{index}, attempt 1 <==" for index in range(6)
    ]
    listed = coachwork.run("artifacts", "iris", "--local").out
    assert "sweep/5/model.txt" in listed
    (kept,) = map(json.loads, map(Path.read_text, coachwork.home.glob("runs/*/1/run.json")))
    assert [one["index"] for one in kept["stages"]["sweep"]["attempts"]] == [*range(6)]


BAD = """\
import os
index, attempt = int(os.environ["COACHWORK_INDEX"]), int(os.environ["COACHWORK_ATTEMPT"])
print("index", index, "attempt", attempt)
if index == 1:
    raise ValueError(f"no rows in part {index}")
if index == 2 and attempt == 1:
    raise OSError("a passing one")
"""


def test_an_index_that_fails_is_named_and_leaves_the_others_alone(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", sweep(BAD, "PARALLEL = 4\nAT_ONCE = 2\n", retries=1)))
    ended = coachwork.run("run", folder)
    assert ended.code == 1
    cause = "stage sweep: index 1: sweep/run.py:5: exited with code 1: ValueError: no rows in part 1"
    assert ended.out.splitlines()[-1] == f"Failed: run 1 at uncommitted: {cause}"
    ran = [line.split(" | ")[1] for line in ended.out.splitlines() if " | index" in line]
    assert sorted(ran) == [
        f"index {index} attempt {attempt}"
        for index in range(4)
        for attempt in (1, 2)
        if attempt == 1 or index in {1, 2}
    ]
    entries = json.loads(coachwork.run("logs", "iris", "sweep", "--local", "-o", "json").out)
    assert {(entry["stage"], entry["attempt"], entry["exit_code"]) for entry in entries} == {
        ("sweep:0", 1, 0), ("sweep:1", 1, 1), ("sweep:1", 2, 1), ("sweep:2", 1, 1), ("sweep:2", 2, 0), ("sweep:3", 1, 0)
    }  # fmt: skip
    refused = coachwork.run("logs", "iris", "sweep:7", "--local")
    assert (refused.code, "sweep:7" in refused.err) == (3, True)


RING = """\
import os, time
from multiprocessing.connection import Client, Listener
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
assert len(os.environ["COACHWORK_PEERS"].split(",")) == size
master = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if rank == 0:
    with Listener(master, authkey=b"x") as listener:
        heard = []
        for _ in range(size - 1):
            with listener.accept() as peer:
                heard.append(peer.recv())
    print("heard of", sorted(heard))
else:
    while True:
        try:
            with Client(master, authkey=b"x") as peer:
                peer.send(rank)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
"""


def test_peers_run_all_at_once_and_find_each_other(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("ring") | {"ring/run.py": RING}
    files["ring/config.ini"] += "PARALLEL = 5\nPEERS = True\n"
    ended = coachwork.run("run", str(write(tmp_path / "iris", files)))
    assert ended.code == 0, ended.err + ended.out
    assert "ring:0 | heard of [1, 2, 3, 4]" in ended.out


# --- in its pod ------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path) -> Stage:
    each = [["ALPHA", ["1", "2"]], ["DEPTH", ["3", "5", "7"]]]
    stage = Stage(tmp_path / "pod", {"indexes": 6, "each": each})
    artifacts = tmp_path / "artifacts"
    stage.env |= {"COACHWORK_INDEX": "4", "COACHWORK_STAGE": "train", "COACHWORK_ARTIFACTS": str(artifacts)}
    return stage


VALUES = "import os; print(os.environ['ALPHA'], os.environ['DEPTH'], os.environ['COACHWORK_INDEX_ARTIFACTS'])"


@pytest.mark.parametrize(
    "python", [pytest.param(PYTHON_38, marks=pytest.mark.skipif(not PYTHON_38, reason="no 3.8")), ""]
)
def test_an_index_has_its_values_its_logs_and_its_folder(index: Stage, python: str) -> None:
    index.python = python or index.python
    index.env["ALPHA"] = "from [env] of the request"
    ended = index.run(VALUES)
    folder = Path(index.env["COACHWORK_ARTIFACTS"], "train", "4")
    assert ended.code == 0, ended.text
    assert f"2 5 {folder}\n" in ended.text
    assert [path.name for path in index.logs.iterdir()] == ["4"]
    assert index.results(index.logs / "4")[1]["exit_code"] == 0
    assert json.loads((folder / "index.json").read_text()) == {
        "index": 4, "variables": {"ALPHA": "2", "DEPTH": "5"}, "metrics": {}
    }  # fmt: skip


def test_an_index_that_is_done_is_not_run_again(index: Stage) -> None:
    assert index.run("print('ran')").code == 0
    again = index.run("print('ran again')")
    assert (again.code, "completed by attempt 1" in again.text, "ran again" in again.text) == (0, True, False)
    index.env["COACHWORK_INDEX"] = "5"
    assert "ran too" in index.run("print('ran too')").text


def test_an_index_is_tried_again_in_its_own_pod_where_that_is_asked_for(index: Stage) -> None:
    ended = index.run("import os; raise SystemExit(os.environ['COACHWORK_ATTEMPT'] == '1')", first_retry=0, attempts=2)
    assert ended.code == 0, ended.text
    outcomes = index.results(index.logs / "4")
    assert [outcomes[number]["exit_code"] for number in (1, 2)] == [1, 0]


def test_results_of_what_is_no_longer_there_are_none(index: Stage) -> None:
    stage = Path(index.env["COACHWORK_ARTIFACTS"], "train")
    for name in ("4", "5", "6", "2021"):
        (stage / name).mkdir(parents=True)
        (stage / name / "index.json").write_text("{}")
        (stage / name / "model.txt").write_text("")
    ended = index.run("raise SystemExit(3)")
    assert ended.code == 3
    assert sorted(str(path.relative_to(stage)) for path in stage.glob("*/index.json")) == ["5/index.json"]
    assert len([*stage.glob("*/model.txt")]) == 4, "files of a script are its own"


def test_a_result_that_can_t_be_left_fails_the_attempt(index: Stage) -> None:
    ended = index.run("import os; os.rmdir(os.environ['COACHWORK_INDEX_ARTIFACTS'])")
    assert (ended.code, ended.message["reason"]) == (1, "ArtifactsUnwritable")
    Path(index.env["COACHWORK_ARTIFACTS"]).joinpath("train").rmdir()
    Path(index.env["COACHWORK_ARTIFACTS"]).joinpath("train").touch()
    blocked = index.run("print('ran')")
    assert (blocked.code, blocked.message["reason"], "ran" in blocked.text.split()) == (1, "ArtifactsUnwritable", False)


def test_a_peer_that_does_not_come_is_waited_for_and_named(index: Stage) -> None:
    script = index.tools / "stage_index.py"
    text = script.read_text()
    waits = f" = {PEERS_SECONDS}, 0.5"  # for so long the pod lives longer
    assert waits in text
    script.write_text(text.replace(waits, " = 0.1, 0.01"))
    index.env["COACHWORK_POD_IP"] = "198.18.0.7"
    hosts = ["localhost"] * 5
    there = index.run("import os; print(os.environ['MASTER_ADDR'])", peers=[*hosts, "localhost"], peers_port=29500)
    assert (there.code, "all 6 peers are there" in there.text, "localhost\n" in there.text) == (0, True, True)
    index.env["COACHWORK_INDEX"] = "5"
    lacking = index.run("print('ran')", peers=[*hosts, "no-such.invalid"], peers_port=29500)
    assert (lacking.code, lacking.message["reason"], "ran" in lacking.text.split()) == (1, "PeerMissing", False)
    assert "no-such.invalid" in lacking.message["message"]
    for left, code in (("198.18.0.9", 1), ("127.0.0.1", 0)):  # of a pod that is gone, and one that the Service knows
        (index.logs / "4" / "address").write_text(left)
        found = index.run("print('ran')", peers=[*hosts[:4], "no-such.127.0.0.1", "localhost"], peers_port=29500)
        assert (found.code, "PeerMissing" in found.text) == (code, bool(code)), found.text


@pytest.mark.parametrize("make", ["os.mkfifo", "os.mkdir"])
def test_what_a_script_leaves_in_the_place_of_an_index_s_files_stops_no_later_attempt(index: Stage, make: str) -> None:
    there = "import os; place = os.environ['THERE']; os.path.exists(place) and os.unlink(place)"
    there += f"; {make}(place); raise SystemExit(3)"
    index.order |= {"attempts": 9, "peers": ["localhost"] * 6, "peers_port": 29500}
    stage = Path(index.env["COACHWORK_ARTIFACTS"], "train")
    (stage / "\u00b2").mkdir(parents=True)  # a digit, and no number
    for place in (index.logs / "4" / "address", stage / "4" / "index.json"):
        index.env["THERE"] = str(place)
        assert index.run(there).code == 3
        assert index.run("raise SystemExit(4)").code == 4
    assert index.run("print('ran')").code == 0
    assert json.loads((stage / "4" / "index.json").read_text())["index"] == 4


# --- in a record -----------------------------------------------------------------------------------


@pytest.fixture
def running(world: World) -> World:
    world.source.push(sweep(keys="PARALLEL = 2\n"))
    world.cluster.ask("iris", repository=REPOSITORY)
    assert world.settle().stages["sweep"].indexes == 2
    return world


def test_a_parameter_that_no_index_gets_is_a_warning(world: World) -> None:
    world.source.push(sweep())
    world.cluster.ask("iris", repository=REPOSITORY, at_set='one {"ALPHA": "0.7", "BETA": "1"}', trigger="one")
    (warning,) = world.settle().problems
    assert warning.startswith("stage sweep: ALPHA has the values of FOR_EACH there")


def outcomes(world: World, *codes: int | None) -> None:
    for index, code in enumerate(codes):
        said = {} if code is None else {"exit_code": code, "message": f"part {index}", "metrics": {"rows": index}}
        world.leave(world.logs("sweep") / str(index), json.dumps(said))


@pytest.mark.parametrize(
    ("codes", "state", "message"),
    [
        ((), "Running", ""),  # not begun: it is made again
        ((0, 0), "Done", ""),
        ((0,), "Failed", "Job iris-sweep-1 was deleted before all of its 2 indexes had run"),
        ((0, 3), "Failed", "index 1: Job iris-sweep-1 was deleted; its last attempt said: part 1"),
        ((0, None), "Failed", "index 1: Job iris-sweep-1 was deleted while attempt 1 ran (it is not run twice)"),
    ],
)
def test_a_job_that_somebody_deletes_is_judged_by_what_each_index_left(
    running: World, codes: tuple[int | None, ...], state: str, message: str
) -> None:
    outcomes(running, *codes)
    running.cluster.remove("Job", "iris-sweep-1")
    stage = running.settle().stages["sweep"]
    assert (stage.state, stage.message if state == "Failed" else "") == (state, message)
    assert ("iris-sweep-1" in running.jobs()) == (state == "Running")


def test_the_numbers_and_the_attempts_of_all_indexes_are_kept(running: World) -> None:
    outcomes(running, 0, 0)
    running.cluster.end_job(running.jobs()["iris-sweep-1"])
    record = running.settle()
    assert {**record.stages["sweep"].metrics} == {"rows.min": 0, "rows.mean": 0.5, "rows.max": 1}
    assert "iris-pick-1" in running.jobs()


def test_of_each_index_the_newest_attempts_are_kept_with_the_last_one_s_numbers(running: World) -> None:
    for number in range(1, 9):
        said = {"exit_code": int(number < 8), "metrics": {"rows": number}}
        for index in ("0", "1"):
            running.leave(running.logs("sweep") / index, json.dumps(said), number)
    running.cluster.end_job(running.jobs()["iris-sweep-1"])
    running.finish_all()
    (path,) = running.root.glob("runs/*/1/run.json")
    attempts = json.loads(path.read_text())["stages"]["sweep"]["attempts"]
    assert [(one["index"], one["number"], one.get("metrics", {})) for one in attempts] == [
        (index, number, {"rows": 8} if number == 8 else {}) for index in (0, 1) for number in range(4, 9)
    ]


def test_a_failed_job_whose_pods_are_gone_says_which_index_failed(running: World) -> None:
    outcomes(running, 0, 3)
    running.cluster.end_job(running.jobs()["iris-sweep-1"], 1)
    for pod in running.cluster.of_kind("Pod"):
        running.cluster.remove("Pod", pod["metadata"]["name"])
    assert running.settle().message == "stage sweep: index 1: part 1"


def test_indexes_whose_outcomes_are_good_are_done_whatever_became_of_their_pods(running: World) -> None:
    outcomes(running, 0, 0)
    running.cluster.end_job(running.jobs()["iris-sweep-1"], 1)
    stage = running.settle().stages["sweep"]
    assert (stage.state, stage.message, dict(stage.metrics)) == (
        "Done", "", {"rows.min": 0, "rows.mean": 0.5, "rows.max": 1}
    )  # fmt: skip
    assert "iris-pick-1" in running.jobs()


def test_the_service_of_peers_is_there_as_long_as_they_run(world: World) -> None:
    world.source.push(sweep(keys="PARALLEL = 2\nPEERS = True\n"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    assert [verb for verb, kind, _ in world.cluster.writes if kind in {"Service", "Job"}] == ["create", "create"]
    assert world.cluster.writes.index(("create", "Service", "iris-sweep-1")) < world.cluster.writes.index(
        ("create", "Job", "iris-sweep-1")
    )
    world.cluster.remove("Service", "iris-sweep-1")
    world.settle()
    world.cluster.unlabel("Service", "iris-sweep-1")
    world.settle()
    (service,) = world.cluster.of_kind("Service")
    assert service["metadata"]["labels"]["coachwork.io/request"] == "iris"
    outcomes(world, 0, 0)
    assert world.finish_all().phase == "Ready"
    assert not world.cluster.of_kind("Service")


def test_peers_of_a_failure_stage_find_each_other_to_its_end(world: World) -> None:
    files = project("train", on_failure="tell")
    files["tell/config.ini"] += "PARALLEL = 2\nPEERS = True\n"
    world.source.push(files)
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-train-1"], 1)
    world.settle()
    assert [item["metadata"]["name"] for item in world.cluster.of_kind("Service")] == ["iris-tell-1"]
    assert [write for write in world.cluster.writes if write[1] == "Service"] == [("create", "Service", "iris-tell-1")]
    assert world.finish_all().phase == "Failed"
    assert not world.cluster.of_kind("Service")
