"""The Secrets that stages use, held against those that are there. Values are only held to be text."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.core.inputs.kinds import base64_text
from controller.core.manifests import RunContext
from controller.core.model import Record
from controller.core.plan.decision import Observed
from controller.core.plan.needs import Live
from controller.core.text import OR_ASK


@dataclass(frozen=True, slots=True)
class MissingSecret:
    """A Secret, or keys of one, that stages need and that are not there, or unfit; the line has the remedy."""

    stages: tuple[str, ...]
    line: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is missing, and the resourceVersion of each Secret that is there, by name."""

    missing: tuple[MissingSecret, ...]
    versions: tuple[tuple[str, str], ...]


def secrets_of(context: RunContext, record: Record, observed: Observed) -> Secrets:
    """Return how the Secrets stand of stages that may still start; the failure stage is one of them."""
    waiting = {name for name, stage in record.stages.items() if stage.state == "Waiting"}
    users: dict[str, dict[str, dict[str, bool]]] = defaultdict(
        lambda: defaultdict(dict)
    )  # Secret, key, stage: needs it
    for name in sorted(context.pipeline.stages.keys() & {*waiting, context.pipeline.run_on_failure}):
        for item in context.pipeline.stages[name].secrets:
            users[item.secret][item.key][name] = not item.optional
    observed.require(*(Live("Secret", name) for name in users))
    there = {name: observed.ask(Live("Secret", name)) for name in sorted(users)}
    missing, on = list[MissingSecret](), f"kubectl -n {context.policy.namespace}"
    for name, secret in there.items():
        data, keys = (secret or {}).get("data") or {}, dict(sorted(users[name].items()))
        absent = {key: [stage for stage in keys[key] if keys[key][stage]] for key in keys if key not in data}
        if absent := {key: stages for key, stages in absent.items() if stages}:
            literals = " ".join(f"--from-literal={key}=VALUE" for key in absent)
            remedy = _patch(on, name, absent) if secret else f"{on} create secret generic {name} {literals}"
            what = f"has no key {', '.join(absent)}" if secret else f"with {', '.join(absent)} not found"
            missing.append(_missing(name, what, absent, remedy))
        if unfit := {key: list(keys[key]) for key in keys if key in data and not _fits_variable(data[key])}:
            what = f"has bytes that no variable can hold in key {', '.join(unfit)}, not text in UTF-8"
            missing.append(_missing(name, what, unfit, f"{_patch(on, name, unfit)}, in base64 if it is no text"))
    versions = ((name, secret["metadata"].get("resourceVersion", "")) for name, secret in there.items() if secret)
    return Secrets(tuple(missing), tuple(versions))


def _missing(name: str, what: str, users: Mapping[str, Sequence[str]], remedy: str) -> MissingSecret:
    stages = tuple(sorted({stage for each in users.values() for stage in each}))
    return MissingSecret(stages, f"Secret {name} {what} (stage {', '.join(stages)}): {remedy}{OR_ASK}")


def _patch(on: str, name: str, keys: Iterable[str]) -> str:
    pairs = ", ".join(f'"{key}": "VALUE"' for key in keys)
    return f"{on} patch secret {name} -p '{{\"stringData\": {{{pairs}}}}}'"


def _fits_variable(value: object) -> bool:
    """Return whether a variable can hold a value: the node starts no container with bytes that are not text."""
    try:
        return "\0" not in base64_text(value)
    except ValueError:
        return False
