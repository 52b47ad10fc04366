"""bodywork.yaml, schemas "1.0" (`project:`) and "1.1" (`pipeline:`) -> Pipeline.

As Bodywork defines them: a stage runs in its module's folder; with a `secrets_group`, a stage's secret NAME is the
Kubernetes Secret GROUP-NAME. Refuses run_on_failure and notebooks, which are not supported yet.
"""

from typing import Any

from controller.core import checks, requirements
from controller.core.model import Pipeline, ProjectTree, Stage
from controller.core.project import assembly, dag, forms, sentences, texts, yamltext
from controller.core.project.report import Report

SECTIONS = {"1.0": "project", "1.1": "pipeline"}


def read(tree: ProjectTree, path: str, report: Report) -> Pipeline | None:
    """Give the pipeline; where there is None, the report says why."""
    document = _document(tree, path, report)
    if document is None:
        return None
    version = _version(document, path, report)
    section = SECTIONS[version]
    _sections(document, version, path, report)
    place = _placing(path, section)
    raw = document.get(section)
    _not_yet(raw, place, report)
    steps, form = assembly.head(raw, place, report) if section in document else ((), None)
    sentences.check(forms.LoggingForm, document.get("logging") or {}, _placing(path, "logging"), report)
    stages = _stages(document.get("stages"), steps, form.secrets_group if form else "", tree, path, report)
    if form is None or report.problems:
        return None
    return assembly.pipeline(form, steps, stages, aliases=version == "1.1")


def _document(tree: ProjectTree, path: str, report: Report) -> dict[str, Any] | None:
    """Give the file's top mapping."""
    text = texts.read(tree, path, report)
    if text is None:
        return None
    try:
        document, problems = yamltext.parse(text)
    except yamltext.Unreadable as error:
        report.problem(path, str(error))
        return None
    for problem in problems:
        report.problem(path, problem)
    if not isinstance(document, dict):
        report.problem(path, f"expected version, project (or pipeline) and stages, got {checks.shown(document)}")
        return None
    return document


def _version(document: dict[str, Any], path: str, report: Report) -> str:
    """Give the schema's version; where it is missing or unknown, the one that the document looks like."""
    guess = "1.1" if "pipeline" in document else "1.0"
    version = document.get("version")
    if str(version) in SECTIONS:
        return str(version)
    if version is None:
        report.problem(f"{path}: version", f'missing: write "{guess}"')
    else:
        report.problem(f"{path}: version", f'expected "1.0" or "1.1", got {checks.shown(version)}')
    return guess


def _sections(document: dict[str, Any], version: str, path: str, report: Report) -> None:
    """Note sections that are missing, unknown, or another schema's."""
    section = SECTIONS[version]
    other = next(name for name in SECTIONS.values() if name != section)
    if section not in document:
        sentence = f"rename the section {other}" if other in document else "write one with name and DAG"
        report.problem(f"{path}: {section}", f"missing: schema {version} has it: {sentence}")
    known = ("version", section, "stages", "logging")
    for key in document:
        if key not in known and not (key == other and section not in document):
            report.unknown(path, key, known)


def _placing(path: str, *prefix: str) -> sentences.Place:
    """Give how a location below `prefix` is written: `bodywork.yaml: stages.train.batch.retries`."""

    def place(location: sentences.Location) -> str:
        parts = (*prefix, *location)
        written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
        return f"{path}: {checks.printable(written.removeprefix('.'), 200)}"

    return place


def _not_yet(raw: Any, place: sentences.Place, report: Report) -> None:
    """Refuse run_on_failure, and take it out."""
    if isinstance(raw, dict) and raw.pop("run_on_failure", None) is not None:
        report.problem(place(("run_on_failure",)), "not supported yet: remove it")


def _stages(raw: Any, steps: dag.Steps, group: str, tree: ProjectTree, path: str, report: Report) -> dict[str, Stage]:
    """Give the DAG's stages in its order; every stage of the file is checked."""
    if not isinstance(raw, dict) or not raw:
        report.problem(f"{path}: stages", "missing: write a section for each stage of the DAG")
        return {}
    if len(raw) > dag.STAGE_LIMIT:
        report.problem(f"{path}: stages", f"has {len(raw)} stages: {dag.STAGE_LIMIT} at most")
        return {}
    wanted = tuple(name for step in steps for name in step)
    for name in wanted:
        if name not in raw:
            remedy = checks.nearest(name, map(checks.printable, raw))
            report.problem(f"{path}: stages", f"there is no stage {name}, which the DAG names: {remedy}")
    built = {name: _stage(name, document, name in wanted, group, tree, path, report) for name, document in raw.items()}
    return {name: stage for name in wanted if (stage := built.get(name))}


def _stage(name: str, raw: Any, used: bool, group: str, tree: ProjectTree, path: str, report: Report) -> Stage | None:
    """Give one stage."""
    place = _placing(path, "stages", name)
    if not used:
        report.warning(place(()), "is not in the DAG: it never runs")
    document = _kind(raw, place, report)
    form = sentences.check(forms.StageForm, document, place, report)
    if used:
        assembly.script(document, "", tree, place, report)
    assembly.limits(document, place, report)
    if form is None:
        return None
    for secret in form.secrets.values() if group else ():
        if not checks.is_dns_name(f"{group}-{secret}"):
            report.problem(place(("secrets",)), "a name of a Secret is too long with its secrets_group before it")
    lines = requirements.lines("\n".join(form.requirements))
    assembly.references(lines, "", place(("requirements",)), tree, report)
    return assembly.stage(name, "", form, group, ("", lines))


def _kind(raw: Any, place: sentences.Place, report: Report) -> Any:
    """Give the stage's document with its one kind; an empty `batch:` has all defaults."""
    if not isinstance(raw, dict):
        return raw
    kinds = [kind for kind in ("batch", "service") if kind in raw]
    if len(kinds) != 1:
        got = "both" if kinds else "neither"
        report.problem(place(()), f"expected batch or service, got {got}: a stage is one of them")
    return {**raw, **{kind: {} for kind in kinds if raw[kind] is None}}
