"""One index of a parallel stage: its folders, the variables that are its own, and what it hands to later stages.

Each index has a folder of its own in the artifacts, which outlives a failed attempt. What a later stage may rely on is
in its index.json, which is there once the index has ended well.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List

    from controller.runtime import stage_order, stage_text
else:  # published side by side: the script's folder is where Python looks first
    import stage_order
    import stage_text

LOOPBACK = "127.0.0.1"  # of all peers on a laptop
PEERS_LIMIT, PEERS_PAUSE = 600, 0.5  # seconds that the names of all peers are waited for, and between two looks
ADDRESS = "address"  # next to its logs, of the pod that it is in
RESULT = "index.json"
UNWRITABLE = "ArtifactsUnwritable"


class Index:
    """The index that this pod is of."""

    def __init__(self, order: stage_order.StageOrder, local: bool) -> None:
        """Read which one it is: the cluster says so. `local`: all are on this machine."""
        self.number = int(os.environ["COACHWORK_INDEX"])
        self._all_logs = order.paths["logs"]
        self.logs = os.path.join(self._all_logs, str(self.number))
        self._peers = [LOOPBACK] * len(order.peers) if local else list(order.peers)
        self._port = order.peers_port
        self._count, self._values = order.indexes, _values(order.each, self.number)
        self._stage = os.path.join(os.environ["COACHWORK_ARTIFACTS"], os.environ["COACHWORK_STAGE"])
        self.artifacts = os.path.join(self._stage, str(self.number))

    @property
    def words(self) -> str:
        """Return which index it is, as one line of its log."""
        values = (f"{name}={value}" for name, value in self._values.items())
        return stage_text.clean(", ".join([f"index {self.number} of {self._count}", *values]))

    def begin(self) -> None:
        """Make the folder of its artifacts, and say where it is. Raises Unable.

        A run that goes on from another one has the results of that: those that it makes itself are no results yet, and
        of indexes that it does not have there are none.
        """
        try:
            os.makedirs(self.artifacts, exist_ok=True)
            if self._peers:
                os.makedirs(self.logs, exist_ok=True)
                address = os.path.join(self.logs, ADDRESS)
                stage_order.clear(address)
                with open(address, "x", encoding="utf-8") as file:
                    file.write(os.environ.get("COACHWORK_POD_IP", ""))
            for name in os.listdir(self._stage):
                if name.isdecimal() and (int(name) == self.number or int(name) >= self._count):
                    with contextlib.suppress(NotADirectoryError):
                        stage_order.clear(os.path.join(self._stage, name, RESULT))
        except OSError as error:
            raise stage_order.Unable(UNWRITABLE, f"no folder for the index's artifacts: {error}", 1) from error

    def meet(self, say: Callable[[str], None]) -> None:
        """Wait until all peers can be reached by a name or an address. Raises Unable."""
        begun = time.monotonic()
        for index, host in enumerate(self._peers):
            while not (found := self._found(index, host)):
                if time.monotonic() - begun > PEERS_LIMIT:
                    line = f"peer {host} has not come within {PEERS_LIMIT} s (is there room for all of them at once?)"
                    raise stage_order.Unable("PeerMissing", line, stage_order.MAY_PASS)
                time.sleep(PEERS_PAUSE)
            self._peers[index] = found
        if self._peers:
            say(f"all {len(self._peers)} peers are there after {time.monotonic() - begun:.1f} s")

    def _found(self, index: int, host: str) -> str:
        """Return by what a peer can be reached: its host name, or the address that it left, "" for nothing yet.

        A DNS that knows no host names of pods knows their Service, and so which of these addresses are there now.
        """
        if _addresses(host):
            return host
        left = stage_order.read_text(os.path.join(self._all_logs, str(index), ADDRESS), 64)
        return left if left and left in _addresses(host.partition(".")[2]) else ""

    @property
    def variables(self) -> Dict[str, str]:
        """Return the variables that are this index's own."""
        variables = dict(self._values)
        variables["COACHWORK_INDEX_ARTIFACTS"] = self.artifacts
        if self._peers:
            variables["COACHWORK_PEERS"] = ",".join(self._peers)
            variables["MASTER_ADDR"] = self._peers[0]
            variables["MASTER_PORT"] = str(self._port)
            variables["RANK"] = str(self.number)
            variables["WORLD_SIZE"] = str(self._count)
        return variables

    def end(self, metrics: Dict[str, float]) -> None:
        """Leave for later stages which index this was, and its numbers. Raises OSError."""
        content: Dict[str, Any] = {"index": self.number, "variables": self._values, "metrics": metrics}
        stage_order.write_atomically(os.path.join(self.artifacts, RESULT), content, durable=True, sealed=False)


def _addresses(host: str) -> List[str]:
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
    except OSError:
        return []


def _values(each: Any, index: int) -> Dict[str, str]:
    """Return the values of one index, of all combinations: the last variable varies fastest."""
    found: List[Any] = []
    for name, values in reversed(each):
        index, at = divmod(index, len(values))
        found.append((name, values[at]))
    return dict(reversed(found))
