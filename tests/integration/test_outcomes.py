"""Done is what the outcome of a stage's newest attempt says, however late the cluster notices the pod's end."""

import json

import pytest

from controller.core import layout, names
from controller.core.documents import codec
from controller.core.documents import run as runs
from tests.support.world import REPOSITORY, World, project


def begun(world: World, dag: str = "a >> b", phase: str = "Running") -> None:
    """Start a run whose first Job has a pod."""
    world.source.push(project(dag))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.begin_pod(world.jobs()["iris-a-1"], phase)


@pytest.mark.parametrize("phase", ["Pending", "Running", "Failed", "Unknown"])
def test_the_next_step_opens_once_the_outcome_is_there_whatever_the_pod_seems_to_do(world: World, phase: str) -> None:
    begun(world, phase=phase)
    world.leave(world.logs("a"))
    record = world.settle()
    assert (record.stages["a"].state, record.stages["a"].attempts, record.step) == ("Done", 1, 2)
    assert set(world.jobs()) == {"iris-a-1", "iris-b-1"}


@pytest.mark.parametrize(
    "left",
    [
        {1: ""},
        {1: '{"exit_code": 1, "reason": "ExitCode"}'},  # the Job controller judges that
        {1: '{"exit_code": 0'},
        {1: '{"exit_code": "0"}'},
        {1: '[{"exit_code": 0}]'},
        {1: '{"exit_code": 0}', 2: ""},  # another attempt has begun
        {1: '{"exit_code": 0}', 2: '{"exit_code": 1}'},
    ],
)
def test_anything_else_is_left_to_the_job_controller(world: World, left: dict[int, str]) -> None:
    begun(world)
    for attempt, outcome in left.items():
        world.leave(world.logs("a"), outcome, attempt)
    assert world.settle().stages["a"].state == "Running"
    assert set(world.jobs()) == {"iris-a-1"}


def test_an_outcome_counts_for_its_own_stage_and_run_alone(world: World) -> None:
    begun(world, "a,c >> b")
    world.leave(world.logs("c"))  # whose pod nobody has seen yet
    world.leave(world.logs("a", run=2))
    assert {stage.state for stage in world.settle().stages.values()} == {"Running", "Waiting"}
    world.cluster.begin_pod(world.jobs()["iris-c-1"], "Pending")
    record = world.settle()
    assert {name: stage.state for name, stage in record.stages.items()} == {"a": "Running", "b": "Waiting", "c": "Done"}


@pytest.mark.parametrize("code", [0, 1])
def test_what_is_recorded_as_done_stays_done_whatever_becomes_of_its_pod(world: World, code: int) -> None:
    begun(world)
    world.leave(world.logs("a"))
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], code)
    assert world.settle().stages["a"].state == "Done"
    world.cluster.remove("Job", "iris-a-1")
    (world.logs("a") / "1.json").unlink()
    assert world.settle().stages["a"].state == "Done"
    assert set(world.jobs()) == {"iris-b-1"}
    assert world.finish_all().phase == "Ready"


def test_a_job_that_failed_after_its_script_was_done_is_done(world: World) -> None:
    begun(world)
    world.leave(world.logs("a"))  # and the call to wake was lost; then its pod was killed
    world.cluster.end_job(world.jobs()["iris-a-1"], 137)
    assert world.settle().stages["a"].state == "Done"


def test_a_pod_that_is_about_to_end_is_not_stopped_when_the_run_ends_first(world: World) -> None:
    begun(world, "a")
    world.leave(world.logs("a"))
    assert world.settle().phase == "Ready"
    assert set(world.jobs()) == {"iris-a-1"}
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    world.settle()
    assert set(world.jobs()) == {"iris-a-2"}


def test_a_job_of_a_run_that_is_over_whose_stage_is_not_done_is_stopped(world: World) -> None:
    begun(world, "a,c")
    world.cluster.begin_pod(world.jobs()["iris-c-1"])
    world.leave(world.logs("a"))
    world.cluster.ask("iris", repository=REPOSITORY, cancel="1")
    assert world.settle().phase == "Cancelled"
    assert not world.jobs()


def test_the_image_of_a_stage_that_was_quicker_than_its_node_is_recorded_when_the_node_says_it(world: World) -> None:
    begun(world, phase="Pending")
    world.leave(world.logs("a"))
    world.settle()
    world.cluster.begin_pod(world.jobs()["iris-b-1"], "Pending")
    written = world.settle(), len(world.cluster.writes)
    world.cluster.begin_pod(world.jobs()["iris-a-1"], "Succeeded", image="python@sha256:1")
    assert (world.settle(), len(world.cluster.writes)) == written  # not worth a write of its own
    world.leave(world.logs("b"))
    assert {name: stage.image for name, stage in world.settle().stages.items()} == {"a": "python@sha256:1", "b": ""}
    written = world.settle(), len(world.cluster.writes)
    world.cluster.begin_pod(world.jobs()["iris-b-1"], "Succeeded", image="python@sha256:2")
    assert (world.settle(), len(world.cluster.writes)) == written
    run = json.loads((world.logs("a").parents[1] / "run.json").read_text())
    assert (run["image_digests"], run["outcome"]) == ({"a": "python@sha256:1", "b": "python@sha256:2"}, "Succeeded")


def test_an_outcome_that_an_older_build_left_is_not_a_new_ones(world: World) -> None:
    world.source.push(project("a") | {"a/requirements.txt": "flask==3.0.0\n"})
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    (build,) = world.jobs().values()
    world.cluster.begin_pod(build)
    world.leave(world.root / layout.build_logs(names.environment_of(build)))  # its environment was swept
    assert world.settle().stages["environment"].state == "Running"
    assert set(world.jobs()) == {build["metadata"]["name"]}


NUMBERS = '{"accuracy": 0.93, "rows": 1200}'


@pytest.mark.parametrize("how", ["at once", "with its Job", "after its pod", "without its Job", "badly"])
def test_the_numbers_that_a_stage_left_are_in_the_record_and_in_what_the_run_left(world: World, how: str) -> None:
    begun(world)
    code = int(how == "badly")
    outcome = f'{{"exit_code": {code}, "script_started": "2026-01-01T00:00:00.125Z", "metrics": {NUMBERS}}}'
    world.leave(world.logs("a"), outcome)
    match how:
        case "with its Job" | "badly":
            world.cluster.end_job(world.jobs()["iris-a-1"], code)
        case "after its pod":
            world.cluster.end_job(world.jobs()["iris-a-1"])
            for kind, name in [key for key in world.cluster.stored if key[0] == "Pod"]:
                world.cluster.remove(kind, name)
        case "without its Job":
            world.cluster.remove("Job", "iris-a-1")
    stage = world.settle().stages["a"]
    assert stage.state == ("Failed" if code else "Done")
    assert {**stage.metrics} == json.loads(NUMBERS)
    world.finish_all()
    (file,) = world.root.glob("runs/iris-*/1/run.json")
    left = codec.good(runs.read(file.read_text()))
    assert left
    assert {**left.stages["a"].metrics} == json.loads(NUMBERS)
    assert isinstance(left.stages["a"].attempts, tuple)
    (attempt,) = left.stages["a"].attempts
    assert ({**attempt.metrics}, attempt.script) == (json.loads(NUMBERS), "2026-01-01T00:00:00.125Z")
