"""The Cluster port on one machine, without a cluster: objects in memory, pods as process groups.

It models what the product uses of Kubernetes 1.34 and refuses every other kind, field and value (admission.py). What it
takes but can't give on a machine that is shared with a person: images (not pulled: `python3` is a given interpreter),
users and security contexts, limits of CPU, memory and GPU, read-only mounts, Service names in DNS, traffic through
Services and Ingresses (they are records; a Service says in coachwork.io/local-address where a ready pod answers).
"""

from controller.adapters.local.cluster import LocalCluster
from controller.adapters.local.machine import Machine, base_environment

__all__ = ["LocalCluster", "Machine", "base_environment"]
