"""The shape of a project's documents: strict models of bodywork.yaml, to which the ini form is brought as well.

Refuses values of another type instead of converting them, and unknown keys (which the reader turns into warnings). The
published JSON Schema is generated from here. A field's `Expected` is what its sentence says when the value is wrong.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from controller.core import images, numbers
from controller.core.inputs import engine, kinds, variables
from controller.core.inputs.engine import SECTION, Expected
from controller.core.inputs.project import dag, parallel, yamlfault
from controller.core.model import AS_OF_COMMIT, NOTEBOOK
from controller.core.text import quoted

SCRIPT_LIMIT = 1024
AS_OF = (AS_OF_COMMIT, "now")
OLDEST_DAY = "2005-01-01"  # indexes know no times of upload from before
OPTIONAL = "?"  # after a Secret's name: the variable may be absent


def script_problem(path: str) -> str:
    """Return what is wrong with a script's path, in one sentence; "" if nothing is."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\\" in path or not path.isprintable() or len(path) > SCRIPT_LIMIT:
        return f"expected a path below the folder, with / and without .., got {quoted(path)}"
    if not path.endswith((".py", NOTEBOOK)) or not PurePosixPath(path).stem:
        return f"expected a Python file like train.py, or a notebook like train.ipynb, got {quoted(path)}"
    return ""


def script_of(raw: Any) -> str:
    """Return the script that a stage's document names, "" where it names none that can be one."""
    path = raw.get("executable_module_path") if isinstance(raw, dict) else None
    return path if isinstance(path, str) and not script_problem(path) else ""


def _secret_name(value: Any) -> Any:
    """Return the short form, `aws?`, of `{name: aws, optional: true}`."""
    if not isinstance(value, dict):
        return value
    name, optional = value.get("name"), value.get("optional", False)
    if not isinstance(name, str) or not isinstance(optional, bool) or value.keys() - {"name", "optional"}:
        raise ValueError("expected the name of a Secret, or name and optional: true")
    return f"{name.removesuffix(OPTIONAL)}{OPTIONAL}" if optional else name


def _secret_problem(text: str) -> str:
    if kinds.is_dns_name(text):
        return ""
    return "expected the name of a Secret (lower-case letters, digits, - .), not a secret's value"


def _day_problem(text: str) -> str:
    if text.lower() in AS_OF:
        return ""
    try:
        is_day = date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_day = False
    if not is_day:
        return f"expected a day like 2021-03-05, or {' or '.join(AS_OF)}, got {quoted(text)}"
    return f"is before {OLDEST_DAY}: package indexes do not say what there was then" if text < OLDEST_DAY else ""


Value = Annotated[str, AfterValidator(variables.value)]
Variable = Annotated[str, AfterValidator(variables.name)]
SecretName = Annotated[
    str,
    BeforeValidator(_secret_name),
    AfterValidator(kinds.without(lambda text: _secret_problem(text.removesuffix(OPTIONAL)))),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "optional": {"type": "boolean", "default": False}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
    Expected("the name of a Secret", quiet=True),
]
Requirement = Annotated[
    str, Field(min_length=1, max_length=2000, pattern=r"^[^\r\n\x00]*$"), Expected('text like "pandas==2.2.3"')
]

Python = Annotated[
    str,
    AfterValidator(kinds.without(images.python_problem)),
    Field(json_schema_extra={"pattern": r"^3\.[1-9][0-9]?$"}),
    Expected("a Python like 3.9"),
]
Seconds = Annotated[int, Field(ge=1, le=kinds.YEAR), Expected("a whole number of seconds, 1 or more")]
Cores = Annotated[float | None, Field(ge=0, le=10_000, allow_inf_nan=False), Expected("a number of CPU cores like 0.5")]
Mebibytes = Annotated[int | None, Field(ge=0, le=100_000_000), Expected("a whole number of MiB, 0 or more")]


class Section(engine.Form):
    """A section of a project's documents."""

    @model_validator(mode="before")
    @classmethod
    def _unspaced(cls, data: Any) -> Any:
        if isinstance(data, str) and (key := yamlfault.unspaced(data)):
            raise ValueError(f"expected {SECTION}: write a space after the colon of {key}:")
        return data


def _gate(value: Any) -> Any:
    """Return the text of a gate that may be a list of its comparisons; what in it is no text is no comparison."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


Indexes = Annotated[int | None, Field(ge=1, le=parallel.MOST), Expected(f"a whole number from 1 to {parallel.MOST}")]
_SCALAR = {"anyOf": [{"type": "string"}, {"type": "number"}]}
_VALUES = {"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR, "minItems": 1}]}


class BatchForm(Section):
    """A stage that runs to its end."""

    max_completion_time_seconds: Seconds = 60
    retries: Annotated[int, Field(ge=0, le=100), Expected("a whole number, 0 or more")] = 2
    require: Annotated[
        str,
        BeforeValidator(_gate),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        Expected(numbers.LIKE),
    ] = ""
    parallel: Indexes = None
    for_each: Annotated[
        Any,
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": _VALUES}]}),
    ] = ""
    at_once: Indexes = None
    peers: bool = False

    @classmethod
    def together(cls, data: Mapping[str, Any]) -> Iterator[engine.Broken]:
        """Yield what of a gate is no comparison, or can't hold of many, and what can't run at once."""
        if isinstance(gate := _gate(data.get("require")), str):
            comparisons, problems = numbers.parse(gate)
            yield from ((("require",), problem) for problem in problems)
            if any(item.change for item in comparisons) and data.keys() & {"parallel", "for_each"}:
                yield ("require",), "no index has a previous number: compare in the stage that picks one of them"
        yield from parallel.problems_of(data)


class ServiceForm(Section):
    """A stage that runs until it is replaced, and answers on its port."""

    port: Annotated[int, Field(ge=1, le=65535), Expected("a port, a whole number from 1 to 65535")]
    max_startup_time_seconds: Seconds = 60
    replicas: Annotated[int, Field(ge=1, le=1000), Expected("a whole number, 1 or more")] = 1
    ingress: bool = False
    readiness_path: Annotated[
        str, Field(pattern=r"^(/[!-~]*)?$", max_length=1024), Expected("a path that starts with /")
    ] = ""
    max_replicas: Annotated[int | None, Field(ge=1, le=1000), Expected("a whole number, 1 or more")] = None
    target_cpu_percent: Annotated[int | None, Field(ge=1, le=1000), Expected("a percentage, 1 or more")] = None

    @classmethod
    def together(cls, data: Mapping[str, Any]) -> Iterator[engine.Broken]:
        """Yield a maximum that is below the number of pods, and what only an autoscaler uses."""
        most, least = data.get("max_replicas"), data.get("replicas", 1)
        if isinstance(most, int) and isinstance(least, int) and most < least:
            yield ("max_replicas",), f"is {quoted(most)}, below the {quoted(least)} that there are at least"
        if most is None and data.get("target_cpu_percent") is not None:
            yield ("target_cpu_percent",), "does nothing without a maximum of replicas"


class StageForm(Section):
    """One stage: a batch or a service."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["batch"]}, {"required": ["service"]}]})

    executable_module_path: Annotated[
        str, AfterValidator(kinds.without(script_problem)), Expected("a Python file like train.py")
    ]
    args: Annotated[list[Value], Field(max_length=1000), Expected("a list of texts", quiet=True)] = []
    requirements: Annotated[
        list[Requirement], Field(max_length=1000), Expected('a list of texts like "pandas==2.2.3"')
    ] = []
    cpu_request: Cores = None
    memory_request_mb: Mebibytes = None
    cpu_limit: Cores = None
    memory_limit_mb: Mebibytes = None
    gpu: Annotated[int, Field(ge=0, le=64), Expected("a whole number, 0 or more")] = 0
    python: Python = ""
    batch: BatchForm | None = None
    service: ServiceForm | None = None
    env: Annotated[dict[Variable, Value], Field(max_length=1000)] = {}
    secrets: Annotated[dict[Variable, SecretName], Field(max_length=1000)] = {}

    @classmethod
    def together(cls, data: Mapping[str, Any]) -> Iterator[engine.Broken]:
        """Yield what Kubernetes would refuse, a stage of no kind or of both, and what is set twice."""
        for limit, request in (("cpu_limit", "cpu_request"), ("memory_limit_mb", "memory_request_mb")):
            high, low = data.get(limit), data.get(request)
            if isinstance(high, int | float) and isinstance(low, int | float) and high < low:
                yield (limit,), f"is {quoted(high)}, below the {quoted(low)} that is requested"
        batch = data.get("batch")
        for name, _ in parallel.each_of(batch.get("for_each") or {})[0] if isinstance(batch, dict) else ():
            for section in ("env", "secrets"):
                if name in (own if isinstance(own := data.get(section), dict) else ()):
                    yield ("batch", "for_each"), f"{quoted(name)} is in {section} as well: remove one of the two"
        service = data.get("service")
        if isinstance(service, dict) and service.get("max_replicas") is not None and not data.get("cpu_request"):
            yield ("service", "max_replicas"), "needs a request of CPU: load is a percentage of that"
        if len(data.keys() & {"batch", "service"}) != 1:
            got = "both" if "batch" in data else "neither"
            yield (), f"expected batch or service, got {got}: a stage is one of them"


class ProjectForm(Section):
    """The project as a whole."""

    name: Annotated[str, AfterValidator(kinds.project_name), Expected("a name: " + kinds.PROJECT_RULE)]
    DAG: Annotated[str, Expected("stages and their order, like prepare >> train >> serve")]
    docker_image: Annotated[str, AfterValidator(kinds.image), Expected("an image like python:3.12-slim")] = ""
    python: Python = ""
    secrets_group: Annotated[
        str, AfterValidator(kinds.without(_secret_problem)), Expected("the beginning of Secrets' names")
    ] = ""
    run_on_failure: Annotated[
        str, AfterValidator(kinds.matching(dag.STAGE_NAME, "the name of one stage")), Expected("the name of one stage")
    ] = ""
    resolve_as_of: Annotated[
        str,
        AfterValidator(kinds.without(_day_problem)),
        Field(json_schema_extra={"pattern": rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|{'|'.join(AS_OF)})$"}),
        Expected("a day like 2021-03-05, or commit or now"),
    ] = ""
    reuse: bool = False
    usage_stats: bool = False
    namespace: str = ""

    @classmethod
    def together(cls, data: Mapping[str, Any]) -> Iterator[engine.Broken]:
        """Yield what is wrong with the DAG, with a failure stage that is in it, and with a Python next to an image."""
        steps, problems = dag.parse(data["DAG"]) if isinstance(data.get("DAG"), str) else ((), ())
        yield from ((("DAG",), problem) for problem in problems)
        failure = data.get("run_on_failure")
        if isinstance(failure, str) and dag.is_stage_name(failure):
            yield from ((("run_on_failure",), problem) for problem in dag.failure_problems(failure, steps))
        image, python = data.get("docker_image"), data.get("python")
        has = images.visible(image) if isinstance(image, str) else ""
        if has and python and python != has and not images.python_problem(str(python)):
            yield ("python",), f"is {python}, and the image {image} has Python {has}: remove one of them"


class LoggingForm(Section):
    """Bodywork's own log; read for its sake, without effect here."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"


class Document10(Section):
    """Schema 1.0 of bodywork.yaml."""

    version: Literal["1.0"]
    project: ProjectForm
    stages: dict[str, StageForm]
    logging: LoggingForm | None = None


class Document11(Section):
    """Schema 1.1 of bodywork.yaml: services answer to http://STAGE:PORT too."""

    version: Literal["1.1"]
    pipeline: ProjectForm
    stages: dict[str, StageForm]
    logging: LoggingForm | None = None


def schema_text() -> str:
    """Return the JSON Schema of bodywork.yaml as it is published in docs/bodywork.schema.json."""
    either: TypeAdapter[Any] = TypeAdapter(Annotated[Document10 | Document11, Field(discriminator="version")])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bodywork.yaml",
        **either.json_schema(),
    }
    return json.dumps(schema, indent=2) + "\n"
