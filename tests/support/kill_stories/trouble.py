"""What goes wrong for users, the cluster and its nodes, and what changes while something else is under way."""

import json

from controller.core import layout, names
from controller.core.model import Object
from tests.support.kill_stories.telling import WEB, ask, began, end, looked, released, troubled
from tests.support.kills import Told
from tests.support.world import REPOSITORY, project

FLASK = {"a": "flask==3.0.0\n"}
DAY = 24 * 3600.0


def _build(world: Told) -> Object:
    """Return the Job of the build that is under way."""
    (job,) = (job for job in world.jobs().values() if names.environment_of(job) and "status" not in job)
    return job


# --- builds ------------------------------------------------------------------------------------------


@troubled
def two_requests_that_share_a_build(world: Told) -> None:
    began(world, project("a", packages=FLASK))
    world.settle()
    world.cluster.ask("wine", repository=REPOSITORY, project_name="wine")
    world.settle("wine")
    world.build(_build(world))
    for name in ("wine", "iris"):
        assert world.finish_all(name).phase == "Ready"
    world.source.push(project("a", packages={"a": "flask==2.3.0\n"}))
    world.cluster.ask("wine", repository=REPOSITORY, project_name="wine", trigger="second")
    world.settle("wine")
    ask(world, "second")
    world.settle()
    world.cluster.remove("ConfigMap", "wine")  # whose run has begun the build
    world.cluster.sync()
    world.pass_("wine")
    world.settle()
    assert world.finish_all().run == 2


@troubled
def a_build_whose_run_is_cancelled(world: Told) -> None:
    began(world, project("a", packages=FLASK))
    world.settle()
    ask(world, cancel="1")
    assert world.settle().phase == "Cancelled"
    ask(world, "second", cancel="1")
    world.settle()
    world.build(_build(world), ends=False)
    world.settle()
    ask(world, "second", cancel="2")
    assert world.settle().phase == "Cancelled"
    for job in world.jobs().values():
        world.compile(job)
    ask(world, "third", cancel="2")
    assert world.finish_all().run == 3


@troubled
def a_deadline_that_passes_while_an_environment_is_built(world: Told) -> None:
    began(world, project("first >> a", packages=FLASK, on_failure="tell"), deadline="1h")
    end(world, "first")
    world.settle()
    world.clock.pass_(3601)
    world.settle()
    end(world, "tell")
    assert world.settle().reason == "DeadlineExceeded"
    world.build(_build(world))
    ask(world, "second", deadline="1h")
    assert world.finish_all().phase == "Ready"


@troubled
def two_environments_of_which_one_can_not_be_built(world: Told) -> None:
    began(world, project("a >> b", packages={"a": "flask==3.0.0\n", "b": "nonsense==9\n"}))
    world.settle()
    good, bad = sorted(world.jobs().values(), key=lambda job: "nonsense" in _made_of(world, job))
    world.build(good)
    world.settle()
    world.cluster.end_job(bad, 121, "b/requirements.txt:1: no version of nonsense is 9")
    assert world.settle().phase == "Failed"
    world.source.push(project("a >> b", packages={"a": "flask==3.0.0\n", "b": "flask==3.0.0\n"}))
    ask(world, "second")
    assert world.finish_all().phase == "Ready"


def _made_of(world: Told, build: Object) -> str:
    return (world.root / layout.build_requirements(names.environment_of(build))).read_text()


@troubled
def an_index_whose_secret_changes(world: Told) -> None:
    began(world, project("a", packages=FLASK), index_secret="pypi")
    assert world.settle().reason == "SecretMissing"
    world.cluster.secret("pypi", UV_INDEX="https://one.example/simple")
    world.settle()
    world.cluster.end_job(_build(world), 121, "https://one.example/simple: 401 Unauthorized")
    assert world.settle().phase == "Failed"
    world.cluster.secret("pypi", UV_INDEX="https://two.example/simple", UV_INDEX_STRATEGY="unsafe-best-match")
    ask(world, "second", index_secret="pypi")
    world.settle()
    world.cluster.remove("Secret", "pypi")
    assert world.finish_all().phase == "Ready"
    ask(world, "third")  # from then on without it
    assert world.finish_all().run == 3


@troubled
def an_environment_whose_python_is_replaced(world: Told) -> None:
    released(world, project("a", packages=FLASK))
    record = world.record()
    assert record.spec
    note = world.root / layout.outdated("iris", record.request_uid, 1, "a")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"environment": record.spec.environments[0].folder}))
    ask(world, "second")
    world.settle()
    world.build(_build(world))
    assert world.finish_all().phase == "Ready"
    ask(world, "third", at_rerun="third 1")
    assert world.finish_all().run == 3


# --- what changes meanwhile ----------------------------------------------------------------------------


@troubled
def parameters_and_runs_that_repeat_them(world: Told) -> None:
    released(world, project("a >> b"), env="1")
    ask(world, "second", env="1", at_set='second {"ALPHA": "2", "BETA": "b"}')
    end(world, "a", run=2)
    ask(world, "third", env="1", at_set='third {"ALPHA": "3"}')
    end(world, "b", 1, run=2)
    world.settle()
    assert world.finish_all().run == 3
    ask(world, "fourth", env="9", at_rerun="fourth 2")
    assert world.finish_all().run == 4


@troubled
def services_that_come_and_go(world: Told) -> None:
    files = project("a,web,old", services={"web": 5000, "old": 6000})
    files["web/config.ini"] += "INGRESS = True\n"
    released(world, files)
    world.source.push(project("a,web", services={"a": 5000}))  # each is now what the other was
    ask(world, "second")
    end(world, "web", run=2)
    assert world.finish_all().phase == "Ready"
    world.source.push(project("a"))
    ask(world, "third")
    assert world.finish_all().phase == "Ready"
    assert not world.cluster.of_kind("Deployment")
    assert not world.cluster.of_kind("Ingress")


@troubled
def a_branch_that_moves_while_a_trigger_waits(world: Told) -> None:
    world.timed = False  # a new process looks a while after its start
    released(world, project("a"), poll="30s")
    world.source.push(project("a >> b"))
    ask(world, "second", poll="30s")
    world.settle()  # else one who learns of the trigger late may find the commit first
    looked(world, 31)
    world.source.push(project("a >> c"))  # while the run of the one before is under way
    looked(world, 31)
    assert world.finish_all().run
    looked(world, 31)
    assert world.finish_all().phase == "Ready"
    world.source.head = 1  # pushed back
    looked(world, 31)
    assert world.finish_all().phase == "Ready"


@troubled
def slots_that_come_while_a_run_is_under_way(world: Told) -> None:
    began(world, project("a"), schedule="@hourly", on_overlap="skip")
    world.settle()
    for slot in ("iris-29453760", "iris-29453820"):  # two are missed, as the runs take longer
        ask(world, slot, schedule="@hourly", on_overlap="skip")
        world.settle()
    end(world, "a")
    world.settle()
    ask(world, "iris-29453880", schedule="@hourly", on_overlap="skip", time_zone="Europe/Berlin")
    assert world.finish_all().run == 2
    ask(world, "iris-29453880", schedule="61 * * * *")
    assert world.settle().phase == "Invalid"
    ask(world, "iris-29453880", schedule="@hourly", suspend="true")
    world.settle()
    ask(world, "iris-29453940", schedule="@hourly")
    assert world.finish_all().run == 3


# --- runs that end early, and what waits behind them ---------------------------------------------------


@troubled
def a_service_that_is_rolled_back_while_the_next_run_waits(world: Told) -> None:
    released(world, project("a >> web", services=WEB))
    world.source.push(project("a >> web", services={"web": 6000}))
    ask(world, "second")
    end(world, "a", run=2)
    world.settle()
    world.source.push(project("a >> web", services={"web": 7000}))
    ask(world, "third")
    world.settle()
    world.cluster.break_down(world.cluster.of_kind("Deployment")[0], "no answer")
    world.settle()
    assert world.finish_all().run == 3


@troubled
def a_failure_stage_that_fails_and_one_that_is_cancelled(world: Told) -> None:
    began(world, project("a >> b", on_failure="tell"))
    end(world, "a", 1)
    end(world, "tell", 1)
    assert world.settle().phase == "Failed"
    ask(world, "second", resume="second a")
    end(world, "a", run=2)
    end(world, "b", 1, run=2)
    world.settle()
    ask(world, "second", cancel="2")
    assert world.settle().phase == "Cancelled"
    ask(world, "third", cancel="2")
    assert world.finish_all().run == 3
