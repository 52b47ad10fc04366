"""The Secrets that stages want, held against those that are there. No value is looked at."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.core.model import Object, Pipeline


@dataclass(frozen=True, slots=True)
class Missing:
    """A Secret, or a key of one, that stages want and that is not there; the line has the remedy."""

    stages: tuple[str, ...]
    line: str


def wanted(pipeline: Pipeline, stages: Iterable[str]) -> Mapping[str, Mapping[str, list[str]]]:
    """Return the Secrets that these stages want: Secret -> key -> the stages that can't do without."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(stages):
        for secret in pipeline.stages[name].secrets:
            found[secret.secret][secret.key] += [] if secret.optional else [name]
    return found


def missing(
    wanted: Mapping[str, Mapping[str, list[str]]], there: Mapping[str, Object | None], namespace: str
) -> tuple[Missing, ...]:
    """Give a line for each Secret that is not there, or lacks keys, with the command that mends it."""
    return tuple(
        found
        for name, keys in sorted(wanted.items())
        if (found := _lacking(name, keys, there.get(name), namespace)) is not None
    )


def _lacking(name: str, keys: Mapping[str, list[str]], secret: Object | None, namespace: str) -> Missing | None:
    have = set((secret or {}).get("data") or {})
    lacks = {key: stages for key, stages in sorted(keys.items()) if stages and key not in have}
    if not lacks:
        return None
    stages = tuple(sorted({stage for users in lacks.values() for stage in users}))
    listed = ", ".join(lacks)
    whose = f"(stage {', '.join(stages)})"
    if secret is None:
        literals = " ".join(f"--from-literal={key}=…" for key in lacks)
        remedy = f"kubectl -n {namespace} create secret generic {name} {literals}"
        return Missing(stages, f"Secret {name} with {listed} is not there {whose}: {remedy}")
    pairs = ", ".join(f'"{key}": "…"' for key in lacks)
    remedy = f"kubectl -n {namespace} patch secret {name} -p '{{\"stringData\": {{{pairs}}}}}'"
    return Missing(stages, f"Secret {name} has no key {listed} {whose}: {remedy}")


def versions(there: Mapping[str, Object | None]) -> tuple[tuple[str, str], ...]:
    """Give the resourceVersion of each Secret that is there, by name."""
    found = ((name, item) for name, item in sorted(there.items()) if item)
    return tuple((name, str(item["metadata"].get("resourceVersion", ""))) for name, item in found)
