"""The Secrets that stages use, held against those that are there. No value is looked at."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from controller.core.manifests import RunContext
from controller.core.model import Object, Record
from controller.core.plan.decision import Observed
from controller.core.plan.needs import Live


@dataclass(frozen=True, slots=True)
class MissingSecret:
    """A Secret, or keys of one, that stages need and that are not there; the line has the remedy."""

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
    keys: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))  # by Secret and key: who needs it
    for name in sorted(context.pipeline.stages.keys() & {*waiting, context.pipeline.run_on_failure}):
        for item in context.pipeline.stages[name].secrets:
            keys[item.secret][item.key] += [] if item.optional else [name]
    observed.require(*(Live("Secret", name) for name in keys))
    there = {name: observed.ask(Live("Secret", name)) for name in sorted(keys)}
    missing = (_missing(name, keys[name], secret, context.policy.namespace) for name, secret in there.items())
    versions = ((name, secret["metadata"].get("resourceVersion", "")) for name, secret in there.items() if secret)
    return Secrets(tuple(filter(None, missing)), tuple(versions))


def _missing(name: str, keys: Mapping[str, list[str]], secret: Object | None, namespace: str) -> MissingSecret | None:
    """Return what of a Secret is missing, with the command that mends it."""
    present = set((secret or {}).get("data") or {})
    lacks = {key: stages for key, stages in sorted(keys.items()) if stages and key not in present}
    if not lacks:
        return None
    stages = tuple(sorted({stage for users in lacks.values() for stage in users}))
    listed, whose = ", ".join(lacks), f"(stage {', '.join(stages)})"
    if secret is None:
        literals = " ".join(f"--from-literal={key}=…" for key in lacks)
        remedy = f"kubectl -n {namespace} create secret generic {name} {literals}"
        return MissingSecret(stages, f"Secret {name} with {listed} not found {whose}: {remedy}")
    pairs = ", ".join(f'"{key}": "…"' for key in lacks)
    remedy = f"kubectl -n {namespace} patch secret {name} -p '{{\"stringData\": {{{pairs}}}}}'"
    return MissingSecret(stages, f"Secret {name} has no key {listed} {whose}: {remedy}")
