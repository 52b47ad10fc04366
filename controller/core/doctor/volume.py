"""The doctor about the shared volume and its claim."""

from dataclasses import dataclass
from typing import Final

from controller.core.doctor.finding import Finding
from controller.core.model import Object
from controller.core.text import format_size

GIB: Final = 1 << 30
SPACE_WRONG, SPACE_NOTE = GIB // 4, 2 * GIB  # bytes free
SLOW_NOTE, SLOW_WRONG = 0.1, 1.0  # seconds in which a small write reaches the disk


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What was found at the volume's mount point; sizes in bytes, times in seconds."""

    problem: str = ""  # why it can't be written to, in one line
    mounted: bool = True
    free: int = 0
    size: int = 0
    inodes_free: int | None = None  # None: it does not count them
    sync: float = 0.0  # of one small write that reaches the disk
    mode: int = 0o775
    owner: str = ""  # uid:gid


def volume(facts: VolumeFacts, root: str) -> list[Finding]:
    """Return what is wrong with the volume that is mounted at `root`, or that nothing is."""
    if facts.problem:
        remedy = (
            "see that its claim is bound and writable by user and group 10001 (fsGroup, or the storage's own export)"
        )
        return [Finding("volume", "wrong", f"{root} can't be written to: {facts.problem}", remedy)]
    found = []
    if not facts.mounted:
        remedy = "mount the claim there (deploy/base/deployment.yaml): what is written now is lost with the pod"
        found.append(Finding("volume", "wrong", f"no volume is mounted at {root}", remedy))
    room = "make the claim larger, lower keep-runs, or delete requests that are no longer needed"
    if facts.inodes_free == 0:
        found.append(Finding("volume", "wrong", "no file can be created: its inodes are used up", room))
    if facts.size and facts.free < min(SPACE_NOTE, facts.size // 10):
        line = f"{format_size(facts.free)} of {format_size(facts.size)} are free"
        found.append(Finding("volume", "wrong" if facts.free < SPACE_WRONG else "note", line, room))
    if facts.sync >= SLOW_NOTE:
        line = f"a small write takes {facts.sync:.2f} s to reach the disk"
        remedy = "each step of a run waits for such writes: use faster storage"
        found.append(Finding("volume", "wrong" if facts.sync >= SLOW_WRONG else "note", line, remedy))
    free = f"{format_size(facts.free)} of {format_size(facts.size)} free" if facts.size else "size unknown"
    speed = f"a write reaches the disk in {facts.sync * 1000:.0f} ms"
    line = f"{root}: writable, {free}, {speed}, owner {facts.owner} mode {facts.mode:04o}"
    return found or [Finding("volume", "ok", line)]


def claim(found: Object | None, name: str, node: str) -> Finding:
    """Judge whether stages can mount the claim wherever they are placed (`node`: the one that they are bound to)."""
    if found is None:
        remedy = "set COACHWORK_CLAIM to the claim that the controller's pod mounts"
        return Finding("claim", "wrong", f"PersistentVolumeClaim {name} not found: no stage can start", remedy)
    status = found.get("status") or {}
    modes = status.get("accessModes") or (found.get("spec") or {}).get("accessModes") or []
    if (phase := str(status.get("phase", ""))) != "Bound":
        remedy = f"kubectl describe persistentvolumeclaim {name}: the storage class or the volume is missing"
        return Finding("claim", "wrong", f"{name} is {phase or 'not bound'}", remedy)
    if "ReadWriteMany" in modes:
        bound = f"; stages are still bound to node {node}: COACHWORK_NODE can be removed" if node else ""
        return Finding("claim", "note" if node else "ok", f"{name} is ReadWriteMany: stages run on any node{bound}")
    if "ReadWriteOnce" in modes and node:
        return Finding("claim", "ok", f"{name} is ReadWriteOnce: all stages are placed on node {node}")
    if "ReadWriteOnce" in modes:
        remedy = "set COACHWORK_NODE to the controller's node (deploy/overlays/dev does), or use a ReadWriteMany class"
        return Finding("claim", "wrong", f"{name} is ReadWriteOnce: stages on other nodes can't mount it", remedy)
    remedy = "use a claim that is ReadWriteMany, or ReadWriteOnce on one node"
    return Finding("claim", "wrong", f"{name} is {', '.join(modes)}: controller and stages can't both write", remedy)
