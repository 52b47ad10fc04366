"""The stages of a run in their steps."""

from controller.core.documents.run import Installed, RunFile, StageEntry
from controller.core.pages.graph import graph


def states(run: RunFile) -> dict[str, dict[str, str]]:
    return {step.title: {node.title: f"{node.kind} {node.state}" for node in step.nodes} for step in graph(run)}


RUN = RunFile(
    run=1,
    started="2026-01-01T00:00:00Z",
    steps=(("a", "b"), ("web",)),
    services=("web",),
    on_failure="mend",
    environments=(Installed("environment", "0a", ("a",)), Installed("environment-2", "0b", ("b", "web"))),
    stages={"environment": StageEntry("Running"), "environment-2": StageEntry("Reused"), "a": StageEntry("Waiting")},
)


def test_all_stages_are_there_before_any_of_them_began() -> None:
    assert states(RUN) == {
        "Environments": {
            "environment (a)": "environment Running",
            "environment-2 (b, web)": "environment Reused",
        },
        "Step 1": {"a": "batch Waiting", "b": "batch Waiting"},
        "Step 2": {"web": "service Waiting"},
        "On failure": {"mend": "batch Skipped"},
    }


def test_a_stage_says_why_it_was_reused_or_was_not() -> None:
    why = (("a", "no input has changed since run 1"), ("b", "not reused: b/x.py has changed since run 1"))
    stages = {"a": StageEntry("Reused"), "b": StageEntry("Failed", message="ValueError")}
    (step,) = graph(RunFile(steps=(("a", "b"),), stages=stages, reuse=why))
    assert [node.message for node in step.nodes] == [why[0][1], "ValueError"]


def test_a_run_that_0_1_0_began_has_the_stages_that_it_recorded() -> None:
    stages = {"a": StageEntry("Done"), "web": StageEntry("Running", objects=("Deployment/iris--web",))}
    assert states(RunFile(run=1, stages=stages)) == {"": {"a": "batch Done", "web": "service Running"}}
