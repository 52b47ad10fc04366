"""The documentation as a reader relies on it: everything that the code has is in it, and nothing that it has not."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest
import yaml

from controller.adapters.telemetry.api import API_CODES
from controller.adapters.telemetry.git import GIT_OPERATIONS, GIT_OUTCOMES
from controller.adapters.telemetry.runs import (
    ATTEMPT_OUTCOMES,
    ENVIRONMENT_ANSWERS,
    REDACTED_IN,
    RUN_OUTCOMES,
    STAGES,
)
from controller.adapters.telemetry.volume import VOLUME_KINDS
from controller.adapters.telemetry.work import RECONCILE_RESULTS
from controller.cli import COMMANDS, load
from controller.core import layout, manifests, names, reasons
from controller.core.documents import status
from controller.core.facts.pods import LAUNCHER_FAILED
from controller.core.inputs import engine, podtemplate, request, variables
from controller.core.inputs.podtemplate import forms as podtemplate_forms
from controller.core.inputs.podtemplate.merging import OF_OTHERS
from controller.core.inputs.project import forms, from_ini, ini
from controller.core.manifests import RunContext
from controller.core.manifests.process import variables as pod_environment
from controller.core.model import (
    Batch,
    Failure,
    Notice,
    Parallel,
    PastRun,
    Phase,
    Pipeline,
    Policy,
    Record,
    Request,
    RunSpec,
    Service,
    Stage,
    StageRecord,
    StageState,
)
from controller.settings import PREFIX, Settings
from controller.settings import load as load_settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def rows(name: str, heading: str = "") -> set[str]:
    """Return every `code` of the first cells of a page's tables; with a heading, of the tables below that one only."""
    text = page(name)
    if heading:
        found = re.search(rf"^##+ {re.escape(heading)}\n", text, re.MULTILINE)
        assert found, f"{name}.md has no heading {heading}"
        text = text[found.end() :].partition("\n##")[0]
    cells = re.findall(r"^\| *(`[^|]*?) *\|", text, re.MULTILINE)
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


# --- reasons --------------------------------------------------------------------------------------

REASON = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
# Calls that are given a reason, by the callee's last name, and at which position.
GIVEN = {
    "Cause": 0,
    "Failure": 1,
    "Invalid": 0,
    "Transient": 0,
    "Refused": 0,
    "Unable": 0,
    "Diagnosis": 0,
    "Row": 2,
    "Emit": 2,
    "_with": 2,
    "stumble": 2,
    "refuse": 3,
    "set": 1,
    "set_verdict": 1,
}
TABLES = {
    "_WAITING",
    "UNMOUNTED",
    "INVALID_REQUEST",
    "TOO_LARGE",
    "MISSING",
    "UNUSABLE",
    "RULES",
    "REASONS",
    "STARTING",
    "PROGRESS",
}
NO_REASON = {  # texts of that shape at those places that are none
    "AlreadyExists",  # the API server's own word, only compared with
    "NamespaceTerminating",  # same
    "Pending",  # a phase beside its reason
    "Queued",
    "Running",
}


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts below a node that look like a reason; a part of a longer one is none."""
    if isinstance(node, ast.JoinedStr):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and REASON.fullmatch(node.value):
        yield node.value
    for inner in ast.iter_child_nodes(node):
        yield from texts(inner)


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of one node of a module that hold a reason."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords):
            position = GIVEN.get(name)
            if position is not None and len(args) > position:
                yield args[position]
            yield from (keyword.value for keyword in keywords if keyword.arg == "reason")
        case ast.Assign(targets=[target], value=value):
            named = [item.id for item in ast.walk(target) if isinstance(item, ast.Name)]
            if TABLES & set(named):
                yield from value.values if isinstance(value, ast.Dict) else [value]
            if "reason" in named:
                yield value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in TABLES:
            yield from value.values if isinstance(value, ast.Dict) else [value]
        case ast.Return(value=ast.Tuple(elts=[first, _])):
            yield first
        case ast.Return(value=ast.Tuple(elts=[_, reason, _])):
            yield reason


def emitted() -> dict[str, set[str]]:
    """Return every reason that the code can emit, with the files that do."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "controller").rglob("*.py")):
        if "local" in path.relative_to(ROOT).parts:  # it plays the API server and the kubelet: their words, not ours
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for text in (text for part in parts(node) for text in texts(part)):
                found.setdefault(text, set()).add(path.name)
    return {reason: files for reason, files in found.items() if reason not in NO_REASON}


def test_every_reason_of_the_code_is_explained_and_none_is_invented() -> None:
    events = {f"Run{outcome}" for outcome in RUN_OUTCOMES if outcome != "Invalid"}
    assert rows("reasons") == set(emitted()) | events


def test_the_reasons_are_found_where_they_are_emitted() -> None:
    """One from each room, so that a new way of saying a reason does not go unnoticed."""
    found = emitted()
    for reason, file in {
        "InvalidProject": "loading.py",
        "GitUnreachable": "faults.py",
        "RepositoryTooLarge": "mirror.py",
        "MissingConfiguration": "pods.py",
        "FailedMount": "pods.py",
        "QuotaExceeded": "workloads.py",
        "WaitingForTrigger": "settle.py",
        "StepRunning": "run.py",
        "JobDeleted": "jobs.py",
        "RejectedByCluster": "act.py",
        "InstallFailed": "install_cause.py",
        "ServiceEnded": "stage_launcher.py",
        "OutOfMemory": "stage_cause.py",
        "ApiOverloaded": "translate.py",
        "VolumeFull": "faults.py",
        "PollFailed": "poll.py",
        "Replaced": "trigger.py",
        "RunNotKept": "begin.py",
    }.items():
        assert file in found[reason]


# --- request and project --------------------------------------------------------------------------


def test_every_key_of_a_request_is_explained_and_none_is_invented() -> None:
    assert rows("request", "Keys") == {*request.KEYS, f"{request.ENV}NAME"}
    annotations = {names.TRIGGER, names.CANCEL, names.FROM, names.ONLY, names.SET, names.RERUN, names.ALL}
    assert rows("request", "Annotations") == annotations
    assert rows("request", "While a run is active") - {"on-overlap"} == {"queue", "replace", "skip"}


def sections(heading: str) -> set[tuple[str, str]]:
    """Return section and key of the rows `| KEY | [section] | ...`."""
    below = page("project").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {(section, key) for key, section in re.findall(r"^\| `(\w+)` \| `\[(\w+)\]` \|", below, re.MULTILINE)}


def test_every_key_of_the_ini_form_is_explained_and_none_is_invented() -> None:
    assert sections("bodywork.ini") == {*from_ini.PROJECT, *from_ini.LOGGING}
    stage = {from_ini.STAGE_TYPE, *from_ini.COMMON, *from_ini.BATCH, *from_ini.SERVICE}
    assert sections("FOLDER/config.ini") == stage


@pytest.mark.parametrize(
    ("heading", "form"),
    [
        ("Project or pipeline", forms.ProjectForm),
        ("Logging", forms.LoggingForm),
        ("Stage", forms.StageForm),
        ("Batch", forms.BatchForm),
        ("Service", forms.ServiceForm),
    ],
)
def test_every_key_of_the_yaml_form_is_explained_with_its_default(heading: str, form: type[forms.Section]) -> None:
    assert rows("project", heading) == set(form.model_fields)
    for name, field in form.model_fields.items():
        if isinstance(field.default, int | bool):
            assert default(page("project"), name) == str(field.default).lower()


def test_the_top_of_the_yaml_form_is_explained() -> None:
    assert rows("project", "Top level") == {*forms.Document10.model_fields, *forms.Document11.model_fields}


def test_the_defaults_of_the_ini_form_are_those_of_the_yaml_form() -> None:
    for keys, form in ((from_ini.BATCH, forms.BatchForm), (from_ini.SERVICE, forms.ServiceForm)):
        for (_, key), (_, name) in keys.items():
            value = form.model_fields[str(name)].default
            if isinstance(value, int | bool):
                assert default(page("project"), key) == str(value)


def default(text: str, key: str) -> str:
    """Return the last cell of the row of `key`."""
    (row,) = re.findall(rf"^\| `{re.escape(key)}` \|.*\| `?([^|`]*)`? \|$", text, re.MULTILINE)
    return str(row)


def test_every_field_of_a_pod_template_is_explained_and_none_is_invented() -> None:
    fields = set(engine.keys(podtemplate_forms.SPEC))
    container = set(engine.keys(podtemplate_forms.CONTAINER))
    assert rows("pod-template", "What it may say") == fields | container
    built = set(re.findall(r"^\| `(\w+)` \|.*\| yes \|$", page("pod-template"), re.MULTILINE))
    assert built == OF_OTHERS
    assert set(podtemplate_forms.VOLUMES) <= set(re.findall(r"`(\w+)`", page("pod-template")))


# --- settings and metrics -------------------------------------------------------------------------


def test_every_setting_is_explained_with_its_default_and_none_is_invented() -> None:
    variables = {PREFIX + option.name.upper(): option for option in fields(Settings)}
    assert {row for row in rows("settings") if not row.isdigit()} == set(variables)
    for variable, option in variables.items():
        row = next(line for line in page("settings").splitlines() if line.startswith(f"| `{variable}` "))
        if said := re.search(r"\| `([^`]+)` \|$", row):
            needed = {f"{PREFIX}NAMESPACE": "ml", f"{PREFIX}IMAGE": "coachwork:dev"}
            assert getattr(load_settings({**needed, variable: said[1]}, {}), option.name) == option.default


def test_every_value_of_a_metrics_label_is_explained_and_none_is_invented() -> None:
    assert rows("metrics", "Values of `outcome`") == set(RUN_OUTCOMES)
    assert rows("metrics", "Values of `result`") == set(RECONCILE_RESULTS)
    assert rows("metrics", "Values of `code`") == set(API_CODES)
    assert rows("metrics", "Values of `operation`") == set(GIT_OPERATIONS)
    assert rows("metrics", "Values of `kind`") == set(VOLUME_KINDS)
    assert rows("metrics", "Values of `outcome` of Git") == set(GIT_OUTCOMES)
    assert rows("metrics", "Values of `kind` of stages") == set(STAGES)
    assert rows("metrics", "Values of `outcome` of attempts") == set(ATTEMPT_OUTCOMES)
    assert rows("metrics", "Values of `answer` of environments") == {*ENVIRONMENT_ANSWERS.values()}
    assert rows("metrics", "Values of `place`") == set(REDACTED_IN)
    assert rows("metrics", "Values of `reason` of Git") == reasons.OF_GIT
    assert rows("metrics", "Values of `reason` of failures") == reasons.OF_RUNS
    assert rows("metrics", "Values of `reason` of retries") == reasons.OF_ATTEMPTS


NO_FAILURE = {  # reasons of what goes well, waits or is tried again, of the command line, and of a service that serves
    *("Cancelled", "Completed", "IndexesRunning", "RecordDamaged", "ReleaseMissing", "Replaced", "RunStarted"),
    *("ServiceDegraded",),
    *("ApiOverloaded", "ApiUnavailable", "NotificationFailed", "NotYet", "PollFailed", "Unauthorized"),
    *("ServiceDrifted", "Skipped", "Started", "Starting", "StepRunning", "Succeeded", "Suspended", "WaitingForTrigger"),
    *("AlreadyRunning", "BadKubeconfig", "Busy", "ControllerBusy", "ControllerDown", "ControllerMissing"),
    *("ControllerTooOld", "FolderUnreadable", "Forbidden", "InvalidSettings", "MissingSecrets", "NotFound"),
    *("PythonMissing", "WrongUse"),
}  # fmt: skip


def test_each_reason_that_something_can_fail_for_is_a_label_of_metrics() -> None:
    labels = reasons.OF_RUNS | reasons.OF_ATTEMPTS | reasons.OF_GIT
    assert {*emitted()} - NO_FAILURE == labels - {reasons.OTHER}


# --- the record -----------------------------------------------------------------------------------

FULL = Record(
    request_uid="u",
    reason="x",
    message="x",
    problems=("x",),
    run=1,
    step=1,
    spec=RunSpec(repository="x", commit="x", path=".", tree="x", image="x"),
    ref="x",
    started="x",
    finished="x",
    stages={"NAME": StageRecord()},
    handled=("x",),
    queued="x",
    finished_trigger="x",
    request_digest="x",
    release_run=1,
    release_commit="x",
    release_numbers={"NAME": {"x": 1.0}},
    history=(PastRun(),),
    poll_commit="x",
    poll_problem="x",
    schedule_problem="x",
    notices=(Notice(1, "Failed"),),
    notify_problem="x",
    pending_since="x",
    failure=Failure("x", "x", "x"),
)


def test_every_key_of_the_record_is_explained_and_none_is_invented() -> None:
    assert rows("status", "Keys") == set(status.write(FULL))


@pytest.mark.parametrize(("key", "form"), [("stages", StageRecord), ("history", PastRun), ("notices", Notice)])
def test_every_part_of_the_keys_that_hold_yaml_is_named(key: str, form: type[Any]) -> None:
    (row,) = (line for line in page("status").splitlines() if line.startswith(f"| `{key}` |"))
    assert set(re.findall(r"`(\w+)`", row)) - {key} == {item.name for item in fields(form)} - {"unknown"}


def test_every_phase_state_outcome_and_cause_is_explained_and_none_is_invented() -> None:
    assert rows("status", "Phases") == set(get_args(Phase))
    assert rows("status", "Stage states") == set(get_args(StageState))
    assert rows("status", "Outcomes") == {*RUN_OUTCOMES, "Superseded", "Skipped"}
    tree = ast.parse((ROOT / "controller" / "core" / "plan" / "trigger.py").read_text(encoding="utf-8"))
    causes = {
        text
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Pending"
        for text in texts(node.args[0])
    }
    assert rows("status", "Causes") == causes


# --- what a stage finds, and objects --------------------------------------------------------------

CONTEXT = RunContext(
    request="iris",
    uid="u",
    run=1,
    spec=RunSpec(repository="https://example.com/iris", commit="c", path=".", tree="t", image="i"),
    pipeline=Pipeline(
        name="iris",
        steps=(("train",), ("serve",)),
        stages={
            "train": Stage("train", "train", "train.py", Batch()),
            "serve": Stage("serve", "serve", "serve.py", Service(port=5000, ingress=True, max_replicas=2)),
        },
    ),
    policy=Policy(namespace="ml", image="i", claim="c", tools="t"),
)


def variables_of_the_launcher() -> set[str]:
    """Return the names that the launcher sets in the script's environment."""
    scripts = (ROOT / "controller" / "runtime" / name for name in ("stage_launcher.py", "stage_index.py"))
    text = "".join(script.read_text(encoding="utf-8") for script in scripts)
    return set(re.findall(r'variables(?:\[|\.setdefault\()"([A-Z_]+)"(?:\] =|,)', text))


def test_every_variable_of_a_stage_is_explained_and_none_is_invented() -> None:
    stages = CONTEXT.pipeline.stages
    failed = replace(CONTEXT, failure=Failure("x", "x", "x"))
    failed = replace(failed, pipeline=replace(CONTEXT.pipeline, run_on_failure=next(iter(stages))))
    many = [replace(stage, work=Batch(parallel=Parallel(2))) for stage in stages.values() if stage.name == "train"]
    given = {item["name"] for stage in [*stages.values(), *many] for item in pod_environment(failed, stage)}
    given = {re.sub(r"^(COACHWORK_(URL|PATH)_).*", r"\1<STAGE>", name) for name in given} - {"COACHWORK_POD_IP"}
    assert rows("stage", "Variables") == given | variables_of_the_launcher()


def test_every_reserved_variable_is_named_and_none_is_invented() -> None:
    assert rows("stage", "Reserved names") == {*variables.RESERVED, f"{variables.PREFIX}*"}


def test_the_exit_codes_are_those_of_the_launcher() -> None:
    text = (ROOT / "controller" / "runtime" / "stage_launcher.py").read_text(encoding="utf-8")
    assert {str(LAUNCHER_FAILED), *re.findall(r"^TIMED_OUT = (\d+)", text, re.MULTILINE)} <= rows("stage", "Exit codes")


def test_every_label_is_explained_and_none_is_invented() -> None:
    batch, service = CONTEXT.pipeline.stages.values()
    made = [manifests.job(CONTEXT, batch), *manifests.service_objects(CONTEXT, service)]
    made.append(manifests.peers(CONTEXT, replace(batch, work=Batch(parallel=Parallel(2, peers=True)))))
    made += [manifests.release(CONTEXT, []), status.manifest("iris", "u", "ml", FULL)]
    made.append(manifests.cronjob(Request("iris", "u", "x", schedule="@daily"), CONTEXT.policy))
    assert rows("objects", "Labels") == {label for item in made for label in item["metadata"]["labels"]}


TOPS = (layout.MIRRORS, layout.CHECKOUTS, layout.RUNS, layout.TOOLS, layout.ENVIRONMENTS, layout.BUILDS)


def test_the_folders_of_the_volume_are_those_of_the_layout() -> None:
    drawn = page("objects").partition("## The volume")[2].partition("```\n")[2].partition("\n```")[0]
    tops = {line.split("/", maxsplit=1)[0] for line in drawn.splitlines()}
    assert tops == {str(folder) for folder in TOPS}
    folder = layout.request("REQUEST", "UID")
    shown = {line.split()[0].rstrip("/") for line in drawn.splitlines()}
    assert {str(layout.cache("REQUEST", "UID")), str(layout.record("REQUEST", "UID"))} <= shown
    assert {f"{folder}/RUN/artifacts", f"{folder}/RUN/logs/STAGE/N.log"} <= shown


# --- all pages ------------------------------------------------------------------------------------

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    for path in PAGES:
        for found, text in BLOCK.findall(path.read_text(encoding="utf-8")):
            if found == language:
                yield path, text


def samples() -> Iterator[tuple[str, Any]]:
    """Yield every YAML document that the pages and the examples show, with the file it is in."""
    for path, text in blocks("yaml"):
        yield from ((path.name, item) for item in yaml.safe_load_all(text))
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        yield from ((str(path.relative_to(ROOT)), item) for item in yaml.safe_load_all(path.read_text("utf-8")))


def test_every_request_that_is_shown_is_a_valid_one() -> None:
    shown = [item for _, item in samples() if item.get("kind") == "ConfigMap"]
    assert len(shown) >= 6
    for item in shown:
        assert item["metadata"]["labels"][names.ROLE] == names.ROLE_REQUEST
        assert request.parse(item).name == item["metadata"]["name"]


def test_every_other_yaml_that_is_shown_is_a_project_or_a_kustomization() -> None:
    for where, item in samples():
        match item:
            case {"kind": "ConfigMap" | "Kustomization" | "NetworkPolicy"}:
                continue
            case {"kind": "Deployment" | "Service" | "PersistentVolumeClaim"}:
                assert where.startswith("examples/"), where  # servers beside the stages: tests/deploy judges them
            case {"spec": _, **rest} if rest.keys() <= {"metadata"}:
                podtemplate.read({"data": {"pod.yaml": yaml.safe_dump(item)}}, "gpu", "coachwork")
            case {"version": "1.0"}:
                forms.Document10.model_validate(item)
            case {"version": "1.1"}:
                forms.Document11.model_validate(item)
            case _:
                pytest.fail(f"{where}: neither a request nor a project: {item}")


def test_every_ini_that_is_shown_has_only_keys_that_exist() -> None:
    known = {from_ini.STAGE_TYPE, *from_ini.PROJECT, *from_ini.LOGGING, *from_ini.COMMON}
    known |= {*from_ini.BATCH, *from_ini.SERVICE}
    for path, text in blocks("ini"):
        found, problems = ini.parse(text)
        assert not problems, path
        keys = {(section, key) for section, values in found.items() for key in values if section not in ini.OWN_NAMES}
        assert keys <= known, path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def test_every_page_is_reached_from_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path.parent.name != "adr"} - {"README.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_every_option_of_the_command_line_is_explained_and_none_is_invented() -> None:
    for name in COMMANDS:
        shown = {row for row in rows("cli", f"coachwork {name}") if row.startswith("--")}
        assert shown == {
            option
            for item in load(name).params
            for option in (*item.opts, *item.secondary_opts)
            if option.startswith("--")
        }


def test_every_test_that_a_page_names_exists() -> None:
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    named = {found for text in texts for found in re.findall(r"`(?:tests/)?(\w+/[\w/]+\.py)::(test_\w+)`", text)}
    assert len(named) > 40
    files = {name: (ROOT / "tests" / name).read_text(encoding="utf-8") for name, _ in named}
    assert not [f"{name}::{test}" for name, test in named if f"def {test}(" not in files[name]]
