"""bodywork.ini and FOLDER/config.ini -> Pipeline: brought to the shape of bodywork.yaml, then checked like it.

What is wrong is shown at the section and key of the ini file.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.core.inputs import requirements
from controller.core.inputs.engine import Location
from controller.core.inputs.project import assembly, dag, forms, ini
from controller.core.inputs.project.reading import Place, Reading
from controller.core.model import Pipeline, Stage
from controller.core.text import clean, nearest, quoted

CONFIG, REQUIREMENTS = "config.ini", "requirements.txt"
MISSPELLED = ("requirement.txt", "requirments.txt", "requirements.text", "requirements.txt.txt", "requirements")

Key = tuple[str, str]  # section and key
Keys = Mapping[Key, Location]

PROJECT: Keys = {
    ("default", "PROJECT_NAME"): ("name",),
    ("default", "DOCKER_IMAGE"): ("docker_image",),
    ("default", "PYTHON"): ("python",),
    ("default", "RESOLVE_AS_OF"): ("resolve_as_of",),
    ("workflow", "DAG"): ("DAG",),
    ("workflow", "RUN_ON_FAILURE"): ("run_on_failure",),
    ("workflow", "REUSE"): ("reuse",),
}
LOGGING: Keys = {("logging", "LOG_LEVEL"): ("log_level",)}
COMMON: Keys = {("default", "EXECUTABLE_SCRIPT"): ("executable_module_path",)} | {
    ("default", name.upper()): (name,)
    for name in ("cpu_request", "memory_request_mb", "cpu_limit", "memory_limit_mb", "gpu", "python")
}
BATCH: Keys = {("batch", name.upper()): ("batch", name) for name in forms.BatchForm.model_fields}
SERVICE: Keys = {("service", name.upper()): ("service", name) for name in forms.ServiceForm.model_fields}
STAGE_TYPE: Key = ("default", "STAGE_TYPE")
KINDS: Mapping[str, Keys] = {"batch": BATCH, "service": SERVICE}
_TYPES = {
    name: field.annotation
    for form in (forms.ProjectForm, forms.StageForm, forms.BatchForm, forms.ServiceForm)
    for name, field in form.model_fields.items()
}
NUMBERS = {name for name, kind in _TYPES.items() if kind in (int, int | None, float | None)}
FLAGS = {name for name, kind in _TYPES.items() if kind is bool}
BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class _IniFile:
    """One ini file as it was read."""

    path: str
    sections: ini.Sections

    def get(self, key: Key) -> str | None:
        """Return a value, None where it is absent."""
        return self.sections.get(key[0], {}).get(key[1])

    def place(self, key: Key) -> str:
        """Return how a key's place is written: `train/config.ini: [batch] RETRIES`."""
        return f"{self.path}: [{clean(key[0], 60)}] {clean(key[1], 200)}"

    def placing(self, keys: Keys) -> Place:
        """Return how a location of the document is written in this file."""
        by_location = {location: key for key, location in keys.items()}

        def place(location: Location) -> str:
            if location in by_location:
                return self.place(by_location[location])
            section, *rest = (str(part) for part in location) if location else ("default",)
            return self.place((section, ".".join(rest))) if rest else f"{self.path}: [{section}]"

        return place

    def document(self, keys: Keys, start: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the values of these keys in the shape of bodywork.yaml; one without a value is as if absent."""
        document = dict(start or {})
        for key, location in keys.items():
            if text := self.get(key):
                inner = document
                for part in location[:-1]:
                    inner = inner.setdefault(str(part), {})
                inner[str(location[-1])] = _typed(str(location[-1]), text)
        return document


def read(path: str, reading: Reading) -> Pipeline | None:
    """Return the pipeline; where there is None, the reading says why."""
    file = _open(path, reading)
    if file is None:
        return None
    _unknown(file, (*PROJECT, *LOGGING), reading)
    place = file.placing(PROJECT)
    head = assembly.head(file.document(PROJECT), place, reading)
    reading.check(forms.LoggingForm, file.document(LOGGING), file.placing(LOGGING))
    named = dict.fromkeys(head.stages, place(("DAG",)))
    if head.failure:
        named[head.failure] = place(("run_on_failure",))
    stages = {name: stage for name, where in named.items() if (stage := _stage(name, where, reading))}
    return assembly.pipeline(head, stages, place, reading, is_yaml=False)


def _open(path: str, reading: Reading) -> _IniFile | None:
    """Read a file; its syntax problems do not hide what else is wrong in it."""
    text = reading.text(path)
    if text is None:
        return None
    sections, problems = ini.parse(text)
    for problem in problems:
        reading.problem(path, problem)
    return _IniFile(path, sections)


def _stage(name: str, named_at: str, reading: Reading) -> Stage | None:
    """Return one stage from its folder; `named_at` is the place that names it."""
    path = f"{name}/{CONFIG}"
    if path not in reading.tree.files:
        if not reading.fault(path):
            reading.problem(named_at, _no_folder(name, reading))
        return None
    file = _open(path, reading)
    if file is None:
        return None
    kind = _kind(file, reading)
    keys = {**COMMON, **KINDS.get(kind, {})}
    own = {section: dict(file.sections[section]) for section in ini.OWN_NAMES if section in file.sections}
    document = file.document(keys, {kind or "batch": {}, **own})
    place = file.placing(keys)
    _unknown(file, (STAGE_TYPE, *COMMON, *BATCH, *SERVICE), reading, kind)
    form = reading.check(forms.StageForm, document, place)
    assembly.script(name, document, name, place, reading)
    listed, lines = f"{name}/{REQUIREMENTS}", tuple[str, ...]()
    if listed in reading.tree.files:
        lines = requirements.lines(reading.text(listed, requirements.LIMIT, requirements.decoded) or "")
        assembly.required(name, listed, f"{name}/{forms.script_of(document)}", reading)
    else:
        near = reading.misspelled(listed, *(f"{name}/{other}" for other in MISSPELLED))
        if not reading.fault(listed) and near:
            reading.warning(clean(near, 200), f"not read: rename it to {REQUIREMENTS}")
        listed = ""
    return assembly.stage(name, name, form, "", (listed, lines), place) if form else None


def _no_folder(name: str, reading: Reading) -> str:
    """Return the sentence for a stage without a folder, or whose folder has no config.ini."""
    if near := reading.misspelled(f"{name}/{CONFIG}"):
        return f"{name}/{CONFIG} not found: rename {clean(near, 200)} to it"
    if name in reading.folders:
        return f"the folder {name} has no {CONFIG}: write one with STAGE_TYPE and EXECUTABLE_SCRIPT"
    folders = [folder for folder in reading.folders if f"{folder}/{CONFIG}" in reading.tree.files]
    remedy = "a stage's folder has its name, and a " + CONFIG
    if folders:
        remedy = nearest(name, map(clean, folders[: dag.STAGE_LIMIT]))
    return f"folder {name} not found: {remedy}"


def _kind(file: _IniFile, reading: Reading) -> str:
    """Return batch or service; with a problem where it is neither, what its sections look like, "" for nothing."""
    text = file.get(STAGE_TYPE)
    if not text:
        reading.problem(file.place(STAGE_TYPE), "missing: write batch or service")
    elif text.lower() not in KINDS:
        reading.problem(file.place(STAGE_TYPE), f"expected batch or service, got {quoted(text)}")
    else:
        return text.lower()
    looks_like = [kind for kind in KINDS if kind in file.sections]
    return looks_like[0] if len(looks_like) == 1 else ""


def _typed(name: str, text: str) -> Any:
    """Return a number or a boolean where one is meant and written; else the text, for the form to refuse."""
    if name in FLAGS:
        return BOOLEANS.get(text.lower(), text)
    if name in NUMBERS and re.fullmatch(r"[-+]?[0-9]{1,18}", text):
        return int(text)
    if name in NUMBERS and re.fullmatch(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})", text):
        return float(text)
    return text


def _unknown(file: _IniFile, known: Iterable[Key], reading: Reading, kind: str = "") -> None:
    """Warn of sections and keys that mean nothing in this file, or nothing for a stage of this kind."""
    known = tuple(known)
    own = ini.OWN_NAMES if STAGE_TYPE in known else ()
    sections = sorted({section for section, _ in known} | set(own))
    for section, values in file.sections.items():
        if section in KINDS and kind and section != kind and section in sections:
            reading.warning(f"{file.path}: [{section}]", f"not used: the stage is a {kind}")
        elif section not in sections:
            reading.unknown(f"{file.path}: [{clean(section, 60)}]", section, sections)
        elif section not in own:
            here = [key for name, key in known if name == section]
            elsewhere = {key: name for name, key in known if name != section}
            for key in values:
                if key in elsewhere:
                    reading.warning(file.place((section, key)), f"not used here: write it in [{elsewhere[key]}]")
                elif key not in here:
                    reading.unknown(file.place((section, key)), key, here)
        elif section == "env":
            missing = {key for name, key in (*BATCH, *SERVICE) if name == kind} - file.sections.get(kind, {}).keys()
            for key in filter(missing.__contains__, values):
                reading.warning(file.place((section, key)), f"only a variable here: the key goes into [{kind}]")
