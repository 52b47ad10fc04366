"""What a request asks for, and what opens its repository."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Request:
    """One labelled ConfigMap, parsed. Durations are seconds."""

    name: str
    uid: str
    repository: str
    ref: str = ""  # "": the remote's HEAD
    path: str = "."
    run_on_create: bool = True
    deadline: int | None = None
    keep_runs: int = 5
    suspend: bool = False
    image: str = ""  # "": the controller's default stage image
    project_name: str = ""  # "": the project's own
    env: tuple[tuple[str, str], ...] = ()
    trigger: str = ""  # annotation coachwork.io/trigger
    cancel: str = ""  # annotation coachwork.io/cancel
    resume: str = ""  # the stage that the trigger's run begins with: annotation coachwork.io/from
    only: str = ""  # the one stage of the trigger's run: annotation coachwork.io/only
    git_secret: str = ""
    index_secret: str = ""
    schedule: str = ""  # five fields of cron, or @daily and the like
    time_zone: str = ""
    poll: int | None = None
    on_overlap: Literal["queue", "replace", "skip"] = "queue"
    pod_template: str = ""  # the ConfigMap that holds pod.yaml
    notify_secret: str = ""  # the Secret with the address to notify of runs
    parameters: tuple[tuple[str, str], ...] = ()  # of the trigger's run alone: annotation coachwork.io/set
    rerun: int = 0  # the run that the trigger's run repeats: annotation coachwork.io/rerun
    whole: bool = False  # the trigger's run reuses nothing: annotation coachwork.io/all
    wrong: tuple[str, ...] = ()  # with the annotations: the trigger is refused, the request is not invalid


@dataclass(frozen=True, slots=True, repr=False)
class GitCredentials:
    """What opens a private repository: a name and a password (or token), or a key with the hosts that are known."""

    username: str = ""
    password: str = ""
    private_key: str = ""
    known_hosts: str = ""
    authority: str = ""  # PEM: certificates that HTTPS servers may be signed by, in addition to the system's
