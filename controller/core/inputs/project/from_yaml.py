"""bodywork.yaml, schemas "1.0" (`project:`) and "1.1" (`pipeline:`) -> Pipeline.

As Bodywork defines them: a stage runs in its module's folder; with a `secrets_group`, a stage's secret NAME is the
Kubernetes Secret GROUP-NAME. Refuses notebooks, which are not supported yet.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from controller.core.inputs import kinds, requirements
from controller.core.inputs.engine import Location
from controller.core.inputs.project import assembly, dag, forms, sentences, texts, yamltext
from controller.core.inputs.project.reading import Reading
from controller.core.model import Pipeline, Stage
from controller.core.text import clean, nearest, quoted

SECTIONS = {"1.0": "project", "1.1": "pipeline"}


def read(path: str, reading: Reading) -> Pipeline | None:
    """Give the pipeline; where there is None, the reading says why."""
    document = _document(path, reading)
    if document is None:
        return None
    version = _version(document, path, reading)
    section = SECTIONS[version]
    _sections(document, version, path, reading)
    place = _placing(path, section)
    raw = document.get(section)
    steps, failure, form = assembly.head(raw, place, reading) if section in document else ((), "", None)
    sentences.check(forms.LoggingForm, document.get("logging") or {}, _placing(path, "logging"), reading)
    wanted = dict.fromkeys((name for step in steps for name in step), "which the DAG names")
    if failure:
        wanted[failure] = "which run_on_failure names"
    stages = _stages(document.get("stages"), wanted, form.secrets_group if form else "", path, reading)
    assembly.failure_kind(stages.get(failure), place, reading)
    return assembly.pipeline(form, steps, stages, aliases=True) if form else None


def _document(path: str, reading: Reading) -> dict[str, Any] | None:
    """Give the file's top mapping."""
    text = texts.read(path, reading)
    if text is None:
        return None
    try:
        document, problems = yamltext.parse(text)
    except yamltext.Unreadable as error:
        reading.problem(path, str(error))
        return None
    for problem in problems:
        reading.problem(path, problem)
    if not isinstance(document, dict):
        reading.problem(path, f"expected version, project (or pipeline) and stages, got {quoted(document)}")
        return None
    return document


def _version(document: dict[str, Any], path: str, reading: Reading) -> str:
    """Give the schema's version; where it is missing or unknown, the one that the document looks like."""
    guess = "1.1" if "pipeline" in document else "1.0"
    version = document.get("version")
    if str(version) in SECTIONS:
        return str(version)
    if version is None:
        reading.problem(f"{path}: version", f'missing: write "{guess}"')
    else:
        reading.problem(f"{path}: version", f'expected "1.0" or "1.1", got {quoted(version)}')
    return guess


def _sections(document: dict[str, Any], version: str, path: str, reading: Reading) -> None:
    """Note sections that are missing, unknown, or another schema's."""
    section = SECTIONS[version]
    other = next(name for name in SECTIONS.values() if name != section)
    if section not in document:
        sentence = f"rename the section {other}" if other in document else "write one with name and DAG"
        reading.problem(f"{path}: {section}", f"missing: schema {version} has it: {sentence}")
    known = ("version", section, "stages", "logging")
    for key in document:
        if key not in known and not (key == other and section not in document):
            reading.unknown(path, key, known)


def _placing(path: str, *prefix: str) -> sentences.Place:
    """Give how a location below `prefix` is written: `bodywork.yaml: stages.train.batch.retries`."""

    def place(location: Location) -> str:
        parts = (*prefix, *location)
        written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
        return f"{path}: {clean(written.removeprefix('.'), 200)}"

    return place


def _stages(raw: Any, wanted: Mapping[str, str], group: str, path: str, reading: Reading) -> dict[str, Stage]:
    """Give the wanted stages in their order (name, and who names it); every stage of the file is checked."""
    if not isinstance(raw, dict) or not raw:
        reading.problem(f"{path}: stages", "missing: write a section for each stage of the DAG")
        return {}
    if len(raw) > dag.STAGE_LIMIT:
        reading.problem(f"{path}: stages", f"has {len(raw)} stages: {dag.STAGE_LIMIT} at most")
        return {}
    for name, why in wanted.items():
        if name not in raw:
            remedy = nearest(name, map(clean, raw))
            reading.problem(f"{path}: stages", f"there is no stage {name}, {why}: {remedy}")
    used = wanted or raw  # a DAG that can't be read hides no problem of a stage
    built = {name: _stage(name, document, name in used, group, path, reading) for name, document in raw.items()}
    return {name: stage for name in wanted if (stage := built.get(name))}


def _stage(name: str, raw: Any, used: bool, group: str, path: str, reading: Reading) -> Stage | None:
    """Give one stage."""
    place = _placing(path, "stages", name)
    if not used:
        reading.warning(place(()), "is not in the DAG: it never runs")
    document = _kind(raw, place, reading)
    form = sentences.check(forms.StageForm, document, place, reading)
    if used:
        assembly.script(name, document, "", place, reading)
        _required(name, document, place, reading)
    assembly.limits(document, place, reading)
    if form is None:
        return None
    for secret in form.secrets.values() if group else ():
        if not kinds.is_dns_name(f"{group}-{secret.removesuffix(forms.OPTIONAL)}"):
            reading.problem(place(("secrets",)), "a name of a Secret is too long with its secrets_group before it")
    return assembly.stage(name, "", form, group, ("", requirements.lines("\n".join(form.requirements))))


def _required(name: str, raw: Any, place: sentences.Place, reading: Reading) -> None:
    """Note the requirements of a stage, which a mistake in another of its keys does not hide."""
    path = raw.get("executable_module_path") if isinstance(raw, dict) else None
    if not isinstance(path, str) or forms.script_problem(path):
        return  # nobody knows the folder that paths start from
    texts = raw.get("requirements") or []
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        lines = requirements.lines("\n".join(texts))
        assembly.required(name, "", str(PurePosixPath(path).parent), reading, (place(("requirements",)), lines))


def _kind(raw: Any, place: sentences.Place, reading: Reading) -> Any:
    """Give the stage's document with its one kind; an empty `batch:` has all defaults."""
    if not isinstance(raw, dict):
        return raw
    kinds = [kind for kind in ("batch", "service") if kind in raw]
    if len(kinds) != 1:
        got = "both" if kinds else "neither"
        reading.problem(place(()), f"expected batch or service, got {got}: a stage is one of them")
    return {**raw, **{kind: {} for kind in kinds if raw[kind] is None}}
