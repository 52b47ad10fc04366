"""The shared volume and its claim."""

from collections.abc import Iterable
from typing import Final

from controller.core.doctor.finding import Finding, State, VolumeFacts
from controller.core.model import Object

GIB: Final = 1 << 30
SPACE_WRONG, SPACE_NOTE = GIB // 4, 2 * GIB  # bytes free
SLOW_NOTE, SLOW_WRONG = 0.1, 1.0  # seconds of one small write that reaches the disk


def volume(facts: VolumeFacts, root: str) -> list[Finding]:
    """Give what is to be said about the volume that is mounted at `root`."""
    if facts.problem:
        remedy = (
            "see that its claim is bound and writable by user and group 10001 (fsGroup, or the storage's own export)"
        )
        return [Finding("volume", "wrong", f"{root} can't be written to: {facts.problem}", remedy)]
    found = [*_mounted(facts, root), *_space(facts), *_speed(facts)]
    if found:
        return found
    free = f"{facts.free / GIB:.1f} of {facts.size / GIB:.1f} GiB free" if facts.size else "size unknown"
    speed = f"a write reaches the disk in {facts.sync * 1000:.0f} ms"
    return [Finding("volume", "ok", f"{root}: writable, {free}, {speed}, owner {facts.owner} mode {facts.mode:04o}")]


def _mounted(facts: VolumeFacts, root: str) -> Iterable[Finding]:
    if not facts.mounted:
        remedy = "mount the claim there (deploy/base/deployment.yaml): what is written now is lost with the pod"
        yield Finding("volume", "wrong", f"no volume is mounted at {root}", remedy)


def _space(facts: VolumeFacts) -> Iterable[Finding]:
    remedy = "make the claim larger, lower keep-runs, or delete requests that nobody needs"
    if facts.inodes_free == 0:
        yield Finding("volume", "wrong", "no file can be made: its inodes are used up", remedy)
    if facts.size and facts.free < min(SPACE_NOTE, facts.size // 10):
        state: State = "wrong" if facts.free < SPACE_WRONG else "note"
        yield Finding("volume", state, f"{facts.free / GIB:.2f} of {facts.size / GIB:.1f} GiB are free", remedy)


def _speed(facts: VolumeFacts) -> Iterable[Finding]:
    if facts.sync >= SLOW_NOTE:
        state: State = "wrong" if facts.sync >= SLOW_WRONG else "note"
        remedy = "each step of a run waits for such writes: use faster storage"
        yield Finding("volume", state, f"a small write takes {facts.sync:.2f} s to reach the disk", remedy)


def claim(found: Object | None, name: str, node: str) -> Finding:
    """Give whether stages can mount the claim wherever they are placed (`node`: the one that they are bound to)."""
    if found is None:
        remedy = "set COACHWORK_CLAIM to the claim that the controller's pod mounts"
        return Finding("claim", "wrong", f"there is no PersistentVolumeClaim {name}: no stage can start", remedy)
    phase = str((found.get("status") or {}).get("phase", ""))
    modes = (found.get("status") or {}).get("accessModes") or (found.get("spec") or {}).get("accessModes") or []
    if phase != "Bound":
        remedy = f"kubectl describe persistentvolumeclaim {name}: the storage class or the volume is missing"
        return Finding("claim", "wrong", f"{name} is {phase or 'not bound'}", remedy)
    if "ReadWriteMany" in modes:
        bound = f"; stages are still bound to node {node}: COACHWORK_NODE can go" if node else ""
        return Finding("claim", "note" if node else "ok", f"{name} is ReadWriteMany: stages run on any node{bound}")
    if "ReadWriteOnce" in modes and node:
        return Finding("claim", "ok", f"{name} is ReadWriteOnce: all stages are placed on node {node}")
    if "ReadWriteOnce" in modes:
        remedy = "set COACHWORK_NODE to the controller's node (deploy/overlays/dev does), or use a ReadWriteMany class"
        return Finding("claim", "wrong", f"{name} is ReadWriteOnce: stages on other nodes can't mount it", remedy)
    remedy = "use a claim that is ReadWriteMany, or ReadWriteOnce on one node"
    return Finding("claim", "wrong", f"{name} is {', '.join(modes)}: controller and stages can't both write", remedy)
