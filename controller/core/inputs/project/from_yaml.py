"""bodywork.yaml, schemas "1.0" (`project:`) and "1.1" (`pipeline:`) -> Pipeline.

As Bodywork defines them: a stage runs in its module's folder; with a `secrets_group`, a stage's secret NAME is the
Kubernetes Secret GROUP-NAME.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from controller.core.inputs import engine, kinds, requirements
from controller.core.inputs.engine import Location
from controller.core.inputs.project import assembly, dag, forms, yamltext
from controller.core.inputs.project.reading import Place, Reading
from controller.core.model import Pipeline, Stage
from controller.core.text import clean, nearest, quoted

SECTIONS = {"1.0": "project", "1.1": "pipeline"}


def read(path: str, reading: Reading) -> Pipeline | None:
    """Return the pipeline; where there is None, the reading says why."""
    text = reading.text(path)
    try:
        document, problems = ({}, ()) if text is None else yamltext.parse(text)
    except yamltext.Unreadable as error:
        document, problems = None, (str(error),)
    for problem in problems:
        reading.problem(path, problem)
    if not isinstance(document, dict):
        if not problems:
            expected = "expected version, project (or pipeline) and stages"
            reading.problem(path, f"{expected}, got {quoted(document)}")
        return None
    return None if text is None else _YamlFile(path, text, document, reading).read()


@dataclass(frozen=True, slots=True)
class _YamlFile:
    """The file as it is read."""

    path: str
    text: str
    document: Mapping[str, Any]
    reading: Reading

    def read(self) -> Pipeline | None:
        """Return the pipeline; every stage of the file is checked, whether or not it runs."""
        document, reading = self.document, self.reading
        section = self._section()
        place = self.placing(section)
        head = assembly.head(document[section], place, reading) if section in document else assembly.Head()
        reading.check(forms.LoggingForm, document.get("logging") or {}, self.placing("logging"))
        named = dict.fromkeys(head.stages, "which the DAG names")
        if head.failure:
            named[head.failure] = "which run_on_failure names"
        stages = self._stages(named, head.form.secrets_group if head.form else "")
        return assembly.pipeline(head, stages, place, reading, is_yaml=True)

    def placing(self, *prefix: str) -> Place:
        """Return how a location below `prefix` is written: `bodywork.yaml: stages.train.batch.retries`."""

        def place(location: Location) -> str:
            return f"{self.path}: {clean(engine.path((*prefix, *location)), 200)}"

        return place

    def _section(self) -> str:
        """Return the name of the project's own section; note sections that are missing, unknown or another schema's.

        Where the version is missing or unknown, the document is of the one that it looks like.
        """
        document = self.document
        version, guess = document.get("version"), "1.1" if "pipeline" in document else "1.0"
        if version is None:
            self.reading.problem(f"{self.path}: version", f'missing: write "{guess}"')
        elif str(version) not in SECTIONS:
            self.reading.problem(f"{self.path}: version", f'expected "1.0" or "1.1", got {quoted(version)}')
        version = str(version) if str(version) in SECTIONS else guess
        section = SECTIONS[version]
        other = next(name for name in SECTIONS.values() if name != section)
        known = ("version", section, "stages", "logging")
        if section not in document:
            sentence = f"rename the section {other}" if other in document else "write one with name and DAG"
            self.reading.problem(f"{self.path}: {section}", f"missing: schema {version} has it: {sentence}")
        for key in document:
            if key not in known and not (key == other and section not in document):
                self.reading.unknown(self.placing()((key,)), key, known)
        return section

    def _stages(self, named: Mapping[str, str], group: str) -> dict[str, Stage]:
        """Return the stages that run, in their order (name, and what names it)."""
        raw, place = self.document.get("stages"), f"{self.path}: stages"
        if not isinstance(raw, dict) or not raw:
            self.reading.problem(place, "missing: write a section for each stage of the DAG")
            return {}
        if len(raw) > dag.STAGE_LIMIT:
            self.reading.problem(place, f"has {len(raw)} stages: {dag.STAGE_LIMIT} at most")
            return {}
        for name, why in named.items():
            if name not in raw:
                remedy = nearest(name, map(clean, raw))
                self.reading.problem(place, f"stage {name}, {why}, not found: {remedy}")
        runs = named or raw  # a DAG that can't be read hides no problem of a stage
        built = {name: self._stage(name, document, name in runs, group) for name, document in raw.items()}
        return {name: stage for name in named if (stage := built.get(name))}

    def _stage(self, name: str, raw: Any, runs: bool, group: str) -> Stage | None:
        place, reading = self.placing("stages", name), self.reading
        if not runs:
            reading.warning(place(()), "is not in the DAG: it never runs")
        if isinstance(raw, dict):  # an empty `batch:` has all defaults
            raw = {**raw, **{kind: {} for kind in ("batch", "service") if kind in raw and raw[kind] is None}}
        form = reading.check(forms.StageForm, raw, place)
        if runs:
            assembly.script(name, raw, "", place, reading)
            self._required(name, raw)
        if form is None:
            return None
        for secret in form.secrets.values() if group else ():
            if not kinds.is_dns_name(f"{group}-{secret.removesuffix(forms.OPTIONAL)}"):
                reading.problem(place(("secrets",)), "a name of a Secret is too long with its secrets_group before it")
        return assembly.stage(name, "", form, group, ("", requirements.lines("\n".join(form.requirements))), place)

    def _required(self, name: str, raw: Any) -> None:
        """Note the requirements of a stage, which a mistake in another of its keys does not hide."""
        script = forms.script_of(raw)
        texts = raw.get("requirements") or [] if script else []  # else nobody knows the folder that paths start from
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return
        location = ("stages", name, "requirements")
        shown = clean(engine.path(location), 200)
        lines = tuple(
            (f"{self.path}:{yamltext.line_of(self.text, (*location, number - 1))}: {shown}", line)
            for number, line in requirements.numbered("\n".join(texts))
        )
        assembly.required(name, "", str(PurePosixPath(script)), self.reading, lines)
