"""Who leads: the Lease `coachwork`, as one candidate sees it.

Times are seconds of the candidate's own clock, which only grows. Clocks of two machines are never compared: another
holds the Lease until it has looked the same here for as long as it is granted (as client-go's leaderelection). The
times that are written into it are for people.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controller.core.model import Object

NAME = "coachwork"
GRANTED = 15.0  # without a renewal, until another candidate takes it over
LONGEST = 60.0  # that a holder's own grant is believed: somebody may have edited it
HELD = 10.0  # from the begin of a renewal that went well, how long the holder acts: less than GRANTED
RENEWAL = 4.0  # between two renewals
RETRY = 2.0  # from a look, or a renewal that failed, to the next


@dataclass(frozen=True, slots=True)
class Sight:
    """What the Lease was when it was last looked at, and since when it has been so."""

    version: str  # its resourceVersion; "": it was not there
    holder: str  # "": free
    granted: float
    since: float


def look(before: Sight | None, live: Object | None, now: float) -> Sight:
    """Return what is seen now. One that is deleted while somebody holds it is held on: its holder acts until then."""
    if live is None:
        return before if before and not before.version else Sight("", before.holder if before else "", GRANTED, now)
    version, spec = live["metadata"]["resourceVersion"], _spec(live)
    if before and before.version == version:
        return before
    granted = spec.get("leaseDurationSeconds")
    seconds = min(max(float(granted), 1.0), LONGEST) if isinstance(granted, int) else GRANTED
    return Sight(version, str(spec.get("holderIdentity") or ""), seconds, now)


def is_free(sight: Sight, own: str, now: float) -> bool:
    """Return whether a candidate of this name may take it, or keep it."""
    return sight.holder in ("", own) or now - sight.since >= sight.granted


def held(live: Object | None, own: str, moment: datetime) -> Object:
    """Return the Lease as one who holds it writes it."""
    spec, written = _spec(live), moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    kept = spec.get("holderIdentity") == own
    changes = spec.get("leaseTransitions")
    taken = {
        "acquireTime": spec.get("acquireTime") if kept else written,
        "leaseTransitions": (changes if isinstance(changes, int) else 0) + (live is not None and not kept),
    }
    return _with(live, {"holderIdentity": own, "leaseDurationSeconds": int(GRANTED), "renewTime": written, **taken})


def released(live: Object) -> Object:
    """Return the Lease as its holder leaves it: free. An empty holder would be refused."""
    return _with(live, {key: value for key, value in _spec(live).items() if key != "holderIdentity"})


def _spec(live: Object | None) -> dict[str, Any]:
    found = (live or {}).get("spec")
    return found if isinstance(found, dict) else {}


def _with(live: Object | None, spec: Object) -> Object:
    metadata = live["metadata"] if live else {"name": NAME, "labels": {"app.kubernetes.io/name": NAME}}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
