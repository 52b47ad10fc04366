"""Jobs, Deployments, Pods and Events as the API gives them -> facts: a state, and the cause in one line.

Nothing here decides: a fact says what is so, the planner what follows. Objects may be half-filled (counts are absent
when 0, status appears late): what is missing means "not known yet", never an error.
"""

from controller.core.facts.drift import Drift
from controller.core.facts.news import news
from controller.core.facts.pods import PodFact, read_pod
from controller.core.facts.workloads import DeploymentFact, JobFact, ended_well, read_deployment, read_job

__all__ = [
    "DeploymentFact",
    "Drift",
    "JobFact",
    "PodFact",
    "ended_well",
    "news",
    "read_deployment",
    "read_job",
    "read_pod",
]
