"""REUSE: first stages are taken from the last good run as long as nothing that goes into them has changed."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from controller.core.model import Record
from tests.support.desk import Desk
from tests.support.world import project

Edit = Callable[[Desk, dict[str, str]], object]
USED = {"secrets": {"b": "KEY = aws"}, "packages": {"b": "pandas"}}
SAME = "no input has changed since run 1"


def reusing(dag: str, more: Mapping[str, str] = {}, **kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a project that says REUSE."""
    files = project(dag, reuse=True, **kinds)  # type: ignore[arg-type]
    return {"README.md": "old", "common/io.py": "old", "b/data.csv": "old", **files, **more}


def start(dag: str = "a >> b >> c", **kinds: Mapping[str, str]) -> tuple[Desk, dict[str, str]]:
    """Return a desk on which a run has ended well, and its files."""
    desk = Desk(live={("Secret", "aws"): secret("1"), ("ConfigMap", "gpu"): template("a")})
    files = reusing(dag, **(kinds or USED))
    desk.push(files)
    desk.ask(env="one", pod_template="gpu")
    assert desk.finish_all().phase == "Ready"
    return desk, dict(files)


def secret(version: str) -> dict[str, object]:
    return {"kind": "Secret", "metadata": {"name": "aws", "resourceVersion": version}, "data": {"KEY": "eA=="}}


def template(zone: str) -> dict[str, object]:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "gpu"},
        "data": {"pod.yaml": f"spec: {{nodeSelector: {{z: {zone}}}}}"},
    }


def again(desk: Desk, files: dict[str, str], **asked: str) -> Record:
    """Run the files as they are now."""
    desk.push(files)
    desk.ask(**{"env": "one", "pod_template": "gpu", "trigger": f"t{len(desk.source.commits)}", **asked})
    return desk.finish_all()


def states(kept: Record) -> dict[str, str]:
    return {name: stage.state for name, stage in kept.stages.items() if name in "abc"}


def written(name: str, text: str = "new") -> Edit:
    return lambda _desk, files: files.__setitem__(name, text)


def config(stage: str, old: str, new: str) -> Edit:
    return lambda _desk, files: files.__setitem__(f"{stage}/config.ini", files[f"{stage}/config.ini"].replace(old, new))


INPUTS: dict[str, tuple[Edit, str]] = {
    "its script": (written("b/run.py"), "b/run.py has changed"),
    "a new file of its folder": (written("b/more/params.yaml"), "b/more/params.yaml is new"),
    "a file that is gone": (lambda _desk, files: files.pop("b/data.csv"), "b/data.csv is gone"),
    "the name of the script": (
        lambda _desk, files: (
            files.update({"b/other.py": files["b/run.py"]}),
            config("b", "run.py", "other.py")(_desk, files),
        ),
        "EXECUTABLE_SCRIPT has changed",
    ),
    "a variable": (config("b", "[secrets]", "[env]\nBETA = 1\n[secrets]"), "variable BETA is new"),
    "the version of a secret": (
        lambda desk, _files: desk.live.update({("Secret", "aws"): secret("2")}),
        "secret KEY has changed",
    ),
    "which Secret": (
        lambda desk, files: (
            desk.live.update({("Secret", "gcp"): secret("1")}),
            config("b", "KEY = aws", "KEY = gcp")(desk, files),
        ),
        "secret KEY has changed",
    ),
    "requirements": (written("b/requirements.txt", "polars"), "b/requirements.txt has changed"),
    "a number that is required": (
        config("b", "RETRIES = 0", "RETRIES = 0\nREQUIRE = accuracy >= 0.9"),
        "REQUIRE has changed",
    ),
    "indexes": (
        config("b", "RETRIES = 0", "RETRIES = 0\nFOR_EACH = ALPHA: 1, 2"),
        "PARALLEL is new",
    ),
    "GPUs": (config("b", "[default]", "[default]\nGPU = 1"), "GPU has changed"),
    "PYTHON": (config("b", "[default]", "[default]\nPYTHON = 3.11"), "the stage's image has changed"),
    "a stage before it": (
        lambda _desk, files: (
            files.update(reusing("a >> x >> b >> c", **USED)),
            files.update({"x/run.py": ""}),
        ),
        "stage x runs before it",
    ),
}
COMMON: dict[str, tuple[Edit, dict[str, str], str]] = {
    "a file of no stage": (written("common/io.py"), {}, "common/io.py has changed"),
    "how files are checked out": (written(".gitattributes", "* text"), {}, ".gitattributes is new"),
    "a variable of the request": (lambda *_: None, {"env": "two"}, "variable ALPHA has changed"),
    "a parameter": (lambda *_: None, {"at_set": '{"DEPTH": "3"}'}, "variable DEPTH is new"),
    "the project's name": (lambda *_: None, {"project_name": "other"}, "variable COACHWORK_PROJECT has changed"),
    "the image": (lambda *_: None, {"image": "python:3.11-slim"}, "the stage's image has changed"),
    "the pod template": (
        lambda desk, _files: desk.live.update({("ConfigMap", "gpu"): template("b")}),
        {},
        "the pod template has changed",
    ),
}
NO_INPUTS: dict[str, Edit] = {
    "nothing": lambda *_: None,
    "the README": written("README.md"),
    "a README elsewhere": written("b/README.rst"),
    "what Git alone reads": written(".github/workflows/ci.yaml"),
    "its retries": config("b", "RETRIES = 0", "RETRIES = 3"),
    "its limit of time": config("b", "RETRIES = 0", "RETRIES = 0\nMAX_COMPLETION_TIME_SECONDS = 9"),
    "its memory": config("b", "[default]", "[default]\nMEMORY_REQUEST_MB = 9"),
}


@pytest.mark.parametrize("edit", NO_INPUTS.values(), ids=NO_INPUTS)
def test_what_is_no_input_of_a_stage_makes_none_run_again(edit: Edit) -> None:
    desk, files = start()
    edit(desk, files)
    kept = again(desk, files)
    assert states(kept) == dict.fromkeys("abc", "Reused")
    assert kept.spec
    assert (kept.phase, kept.spec.base, dict(kept.spec.reuse)) == ("Ready", 1, dict.fromkeys("abc", SAME))


@pytest.mark.parametrize(("edit", "why"), INPUTS.values(), ids=INPUTS)
def test_a_stage_with_another_input_runs_again_and_all_behind_it(edit: Edit, why: str) -> None:
    desk, files = start()
    edit(desk, files)
    kept = again(desk, files)
    assert states(kept) == {"a": "Reused", "b": "Done", "c": "Done"}
    assert kept.why("b").startswith(f"not reused: {why}")
    assert kept.why("c") in {"not reused: stage b runs before it", "not reused: stage x runs before it"}


@pytest.mark.parametrize(("edit", "asked", "why"), COMMON.values(), ids=COMMON)
def test_an_input_of_all_stages_makes_all_run_again(edit: Edit, asked: dict[str, str], why: str) -> None:
    desk, files = start()
    edit(desk, files)
    kept = again(desk, files, **({"at_set": f"t2 {asked['at_set']}"} if "at_set" in asked else asked))
    assert states(kept) == dict.fromkeys("abc", "Done")
    assert kept.why("a").startswith(f"not reused: {why}")
    assert kept.why("c") == "not reused: stage a runs before it"
    assert kept.spec
    assert kept.spec.base == 0


YAML = """\
version: "1.1"
pipeline: {name: iris, DAG: a >> b >> c, reuse: true}
stages:
  a: {executable_module_path: a.py, batch: {}}
  b: {executable_module_path: b.py, args: ["1"], batch: {}}
  c: {executable_module_path: c.py, batch: {}}
"""
REWRITTEN = {
    "args": (('args: ["1"]', 'args: ["2"]'), {"a": "Reused", "b": "Done", "c": "Done"}, "args has changed"),
    "a stage less before it": (("a >> b", "b"), {"b": "Done", "c": "Done"}, "a.py is new since run 1 (and 1 more)"),
    "stages swapped": (
        ("a >> b", "b >> a"), {"b": "Done", "a": "Done", "c": "Done"}, "the order of steps before it has changed"
    ),
    "retries": (("c.py, batch: {}", "c.py, batch: {retries: 5}"), dict.fromkeys("abc", "Reused"), ""),
    "what is behind it": (
        ("c.py, batch: {}", "c.py, service: {port: 80}"), {"a": "Reused", "b": "Reused", "c": "Done"}, ""
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "after", "why"), REWRITTEN.values(), ids=REWRITTEN)
def test_what_the_projects_file_says_counts_by_what_it_means(
    edit: tuple[str, str], after: dict[str, str], why: str
) -> None:
    desk, files = Desk(), {"bodywork.yaml": YAML, **{f"{stage}.py": stage for stage in "abc"}}
    desk.push(files)
    desk.ask()
    desk.finish_all()
    desk.push({**files, "bodywork.yaml": YAML.replace(*edit)})
    desk.ask(trigger="t2")
    kept = desk.finish_all()
    assert states(kept) == after
    assert why in kept.why("b")


def test_stages_next_to_each_other_do_not_make_each_other_run_again() -> None:
    desk, files = start("a,b >> c")
    assert states(again(desk, {**files, "b/run.py": "new"})) == {"a": "Reused", "b": "Done", "c": "Done"}


def test_nothing_behind_a_service_is_reused() -> None:
    desk, files = start("a >> web >> b", services={"web": 5000})  # type: ignore[dict-item]
    kept = again(desk, files)
    assert states(kept) == {"a": "Reused", "b": "Done"}
    assert kept.why("b") == "not reused: stage web runs before it"


@pytest.mark.parametrize(
    "asked",
    [{"at_all": "t2 true"}, {"trigger": "iris-29111110", "schedule": "@daily"}, {"at_rerun": "t2 1"}],
    ids=["--all", "a slot of the schedule", "rerun"],
)
def test_who_asks_for_all_gets_all(asked: dict[str, str]) -> None:
    desk, files = start()
    kept = again(desk, files, **asked)
    assert states(kept) == dict.fromkeys("abc", "Done")
    assert kept.spec
    assert (kept.spec.base, kept.spec.reuse) == (0, ())


def test_a_stage_keeps_its_numbers_and_is_compared_with_the_run_that_made_them() -> None:
    desk, files = start()
    made = desk.files[1]
    desk.files[1] = replace(made, stages={**made.stages, "b": replace(made.stages["b"], metrics={"rmse": 1.5})})
    for _ in range(3):
        kept = again(desk, files)
        assert states(kept) == dict.fromkeys("abc", "Reused")
        assert [kept.stages[name].metrics for name in "abc"] == [{}, {"rmse": 1.5}, {}]
        assert kept.spec
        assert kept.spec.secrets == (("aws", "1"),)
    del desk.files[1], desk.specs[1]
    assert states(again(desk, files)) == dict.fromkeys("abc", "Reused")
    assert states(again(desk, {**files, "b/run.py": "new"})) == {"a": "Reused", "b": "Done", "c": "Done"}


def test_what_somebody_reused_by_hand_is_compared_with_what_it_was_made_of() -> None:
    desk, files = start()
    again(desk, {**files, "b/run.py": "new"}, at_from="t2 c")
    kept = again(desk, {**files, "b/run.py": "new"})
    assert states(kept) == {"a": "Reused", "b": "Done", "c": "Done"}
    assert kept.why("b") == "not reused: b/run.py has changed since run 1"
    assert states(again(desk, {**files, "b/run.py": "new"})) == dict.fromkeys("abc", "Reused")


def test_a_run_that_failed_is_no_run_to_reuse() -> None:
    desk, files = start()
    desk.push(files | {"b/run.py": "bad"})
    desk.ask(trigger="t2", env="one", pod_template="gpu")
    desk.settle()
    desk.end_job("iris-b-2", 3)
    desk.settle()
    assert desk.record.phase == "Failed"
    assert states(again(desk, files)) == dict.fromkeys("abc", "Reused")


def led_to_itself(desk: Desk, _files: dict[str, str]) -> None:
    file = desk.files[1]
    reused = {name: replace(stage, state="Reused") for name, stage in file.stages.items()}
    desk.files[1] = replace(file, base=1, stages=reused)


FORGOTTEN: dict[str, tuple[Edit, str]] = {
    "a file that says that the run goes on from itself": (led_to_itself, "run 1 did not run it"),
    "the run's file": (lambda desk, _: desk.files.clear(), "run 1 did not run it, or no longer says with what"),
    "its spec": (lambda desk, _: desk.specs.clear(), "run 1 is not kept"),
    "its commit": (
        lambda desk, _: (desk.source.commits.__setitem__(0, {}), desk.loaded.pop(f"{1:040x}")),
        "the commit of run 1 can't be read any more",
    ),
    "its place": (
        lambda desk, _: desk.specs.update({1: replace(desk.specs[1], path="elsewhere")}),
        "the project of run 1 was elsewhere",
    ),
    "its repository": (
        lambda desk, _: desk.specs.update({1: replace(desk.specs[1], repository="https://git.example/other")}),
        "the project of run 1 was elsewhere",
    ),
}


@pytest.mark.parametrize(("forget", "why"), FORGOTTEN.values(), ids=FORGOTTEN)
def test_what_nobody_knows_any_more_counts_as_changed(forget: Edit, why: str) -> None:
    desk, files = start()
    forget(desk, files)
    kept = again(desk, files)
    assert states(kept) == dict.fromkeys("abc", "Done")
    assert kept.why("a").startswith(f"not reused: {why}")


def test_a_project_that_did_not_say_so_before_is_run_once_whole() -> None:
    desk, files = start()
    again(desk, {**files, "bodywork.ini": files["bodywork.ini"].replace("REUSE = True\n", "")})
    kept = again(desk, files)
    assert states(kept) == dict.fromkeys("abc", "Done")
    assert kept.why("a") == "not reused: run 2 had no REUSE"
    assert states(again(desk, files)) == dict.fromkeys("abc", "Reused")


def test_a_job_is_given_what_it_does_without() -> None:
    desk, _ = start()
    arguments = desk.objects["Job", f"iris-b-{desk.record.run}"]["spec"]["template"]["spec"]["containers"][0]["command"]
    left_out = ["README.md", "a", "a/config.ini", "b/config.ini", "bodywork.ini", "c", "c/config.ini"]
    assert f'"left_out": {left_out}'.replace("'", '"') in "".join(arguments)
