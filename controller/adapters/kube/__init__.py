"""The API server, one namespace of it: implements `controller.reconciler.Cluster` with the official client.

Speaks dicts only: of the client it takes credentials, TLS and HTTP, never a model class. Refuses what is not in the
table of kinds (no Secret can be read), so that the rights the controller needs follow from that table.
"""

from controller.adapters.kube.cluster import Kube, connect
from controller.adapters.kube.examine import Examiner
from controller.adapters.kube.kinds import RIGHTS
from controller.adapters.kube.person import SERVICE, USED, Person, join, loaded
from controller.adapters.kube.transport import Body, Timeouts

__all__ = ["RIGHTS", "SERVICE", "USED", "Body", "Examiner", "Kube", "Person", "Timeouts", "connect", "join", "loaded"]
