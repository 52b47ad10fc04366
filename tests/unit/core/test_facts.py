"""What the cluster's objects say, as one state and one line. The shapes are those of a real API server (1.34)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import names
from controller.core.facts import DeploymentFact, JobFact
from controller.core.model import Cause, Object
from tests.support.held import read_deployment, read_job, read_pod
from tests.support.statuses import condition, deployment, event, job, pod, said, service_pod, terminated, waiting

IMAGE = "registry.invalid/nope:1"
NOT_FOUND = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": no such host'


# --- Jobs: when they end ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], "Running"),
        ([condition("SuccessCriteriaMet", "CompletionsReached")], "Running"),
        ([condition("FailureTarget", "PodFailurePolicy")], "Running"),
        ([condition("SuccessCriteriaMet"), condition("Complete", "CompletionsReached")], "Succeeded"),
        ([condition("FailureTarget"), condition("Failed", "BackoffLimitExceeded")], "Failed"),
        ([condition("Complete", status="False")], "Running"),
        ([condition("Failed", status="False")], "Running"),
        ([condition("Suspended", "JobSuspended")], "Running"),
    ],
)
def test_only_complete_and_failed_end_a_job(conditions: list[Object], state: str) -> None:
    assert read_job(job(*conditions), []).state == state


def test_a_succeeded_pod_ends_its_job_before_the_job_says_so() -> None:
    done = pod(terminated(0, "Completed"), phase="Succeeded")
    assert read_job(job(active=1), [done]).state == "Succeeded"
    assert read_job(job(active=1), [pod(terminated(0), phase="Succeeded", owner="another-job")]).state == "Running"


def test_a_succeeded_pod_outweighs_a_failed_condition() -> None:
    done = pod(terminated(0, "Completed"), phase="Succeeded")
    assert read_job(job(condition("Failed", "BackoffLimitExceeded"), failed=1), [done]).state == "Succeeded"


@pytest.mark.parametrize(
    ("status", "phases", "attempts"),
    [
        ({}, (), 0),  # no pod was ever made
        ({"active": 1}, ("Pending",), 0),
        ({"active": 1}, ("Running",), 1),
        ({"active": 1}, ("Failed",), 1),  # the Job controller has not counted it yet
        ({"failed": 1, "active": 1}, ("Failed", "Pending"), 1),
        ({"failed": 2, "active": 1}, ("Failed", "Failed", "Running"), 3),
        ({"failed": None}, ("Running",), 1),
        ({}, ("Succeeded",), 1),
    ],
)
def test_attempts_count_what_failed_and_what_runs_but_not_what_waits(
    status: Object, phases: tuple[str, ...], attempts: int
) -> None:
    pods = [pod(phase=phase) for phase in phases]
    for second, item in enumerate(pods):
        item["metadata"]["creationTimestamp"] = f"2026-11-23T14:54:3{second}Z"
    assert read_job(job(**status), pods).attempts == attempts


def test_attempts_of_an_ended_job() -> None:
    assert read_job(job(condition("Failed"), failed=3), []).attempts == 3
    assert read_job(job(condition("Complete"), failed=2, succeeded=1), []).attempts == 3


def test_a_job_without_a_status_runs_and_names_its_owner() -> None:
    bare = job()
    del bare["status"]
    assert read_job(bare, []) == JobFact("iris-train-7", "job-uid", "request-uid", 7)


def test_a_job_that_is_being_deleted_says_so() -> None:
    going = job()
    going["metadata"]["deletionTimestamp"] = "2026-11-23T14:54:34Z"
    assert read_job(going, []).deleting


# --- what keeps a pod from starting ------------------------------------------------------------------

WAITS = [
    (
        waiting("ErrImagePull", NOT_FOUND),
        "start",
        "ImageUnavailable",
        f'image "{IMAGE}" can\'t be pulled: no way to its registry',
    ),
    (
        waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {NOT_FOUND}'),
        "start",
        "ImageUnavailable",
        f'image "{IMAGE}" can\'t be pulled: no way to its registry',
    ),
    (waiting("ErrImageNeverPull"), "start", "ImageUnavailable", "ErrImageNeverPull"),
    (
        waiting("InvalidImageName", 'couldn\'t parse image name "UPPER//x:y": invalid reference format'),
        "start",
        "InvalidImageName",
        "UPPER//x:y",
    ),
    (
        waiting("CreateContainerConfigError", 'secret "nope" not found'),
        "start",
        "MissingConfiguration",
        'secret "nope" not found (create it, or correct [secrets]',
    ),
    (
        waiting("CreateContainerConfigError", "couldn't find key A in Secret cw/aws"),
        "start",
        "MissingConfiguration",
        "couldn't find key A in Secret cw/aws",
    ),
    (
        waiting("CreateContainerError", "grpc: error while marshaling: string field contains invalid UTF-8"),
        "start",
        "ContainerFailed",
        "(a value of [secrets] is not text in UTF-8",
    ),
    (waiting("RunContainerError", 'exec: "python3": not found'), "start", "ContainerFailed", "needs a python3"),
]


@pytest.mark.parametrize(("state", "blocked", "reason", "words"), WAITS)
def test_what_waits_says_which_grace_it_gets_and_why(state: Object, blocked: str, reason: str, words: str) -> None:
    fact = read_job(job(active=1), [pod(state)])
    assert (fact.blocked, fact.running) == (blocked, False)
    assert fact.cause
    assert fact.cause.reason == reason
    assert words in fact.cause.message


def test_a_bad_image_gives_one_steady_message_whatever_the_kubelet_says() -> None:
    words = [
        waiting("ErrImagePull", NOT_FOUND),
        waiting("ErrImagePull", f"rpc error: code = NotFound desc = {NOT_FOUND}"),
        waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {NOT_FOUND}'),
    ]
    assert len({read_pod(pod(state)).cause for state in words}) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('failed to resolve reference "x": pull access denied, repository does not exist or may require authorization',
         ": no such image, or it needs a pull secret"),
        ('failed to do request: Head "https://r/v2/": dial tcp: lookup r: no such host', ": no way to its registry"),
        ("failed to resolve: unexpected status from HEAD request to https://r/v2/: 403 Forbidden",
         ": no such image, or it needs a pull secret"),
        ("toomanyrequests: You have reached your pull rate limit", ": its registry refuses so many pulls"),
        ("write /var/lib/x: no space left on device", ": no space left on the node"),
        ("rpc error", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_why_an_image_can_not_be_pulled_is_said_as_far_as_the_kubelet_says_it(said: str, why: str) -> None:
    cause = read_pod(pod(waiting("ErrImagePull", said))).cause
    assert cause == Cause("ImageUnavailable", f'image "{IMAGE}" can\'t be pulled{why}')


@pytest.mark.parametrize("state", [waiting("ContainerCreating"), waiting("PodInitializing"), {}, None])
def test_a_pod_on_its_way_is_not_blocked(state: Object | None) -> None:
    fact = read_job(job(active=1), [pod(state)])
    assert (fact.blocked, fact.cause, fact.running) == ("", None, False)


NO_HELP = (
    " no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)
NONE = "0/1 nodes are available"
LESS = "(lower CPU_REQUEST and MEMORY_REQUEST_MB in the stage's config.ini, or add nodes)"
MIND = "in the stage's config.ini, or add nodes)"


@pytest.mark.parametrize(
    ("said", "requests", "words"),
    [
        ("1 Insufficient cpu.", {}, f": 0/1 nodes are available: 1 Insufficient cpu (ask for less {MIND}"),
        (
            f"1 Insufficient memory.{NO_HELP}",
            {"memory": "500000Mi", "cpu": "1"},
            f" for 500000 MiB of memory: {NONE}: 1 Insufficient memory (lower MEMORY_REQUEST_MB {MIND}",
        ),
        (
            "1 Insufficient memory, 1 Insufficient cpu. preemption: 0/1 nodes are available.",
            {"memory": "2Gi", "cpu": "1500m"},
            f" for 1.5 CPU and 2048 MiB of memory: {NONE}: 1 Insufficient memory, 1 Insufficient cpu {LESS}",
        ),
        (
            "1 node(s) had untolerated taint {x: y}.",
            {},
            ": 0/1 nodes are available: 1 node(s) had untolerated taint {x: y}",
        ),
    ],
)
def test_what_can_not_be_scheduled_says_what_it_asks_for_and_what_is_missing(
    said: str, requests: Object, words: str
) -> None:
    unscheduled = pod(
        conditions=[condition("PodScheduled", "Unschedulable", "False", f"0/1 nodes are available: {said}")]
    )
    unscheduled["spec"] = {"containers": [{"name": "stage", "resources": {"requests": requests}}]}
    fact = read_job(job(active=1), [unscheduled])
    assert (fact.blocked, fact.cause) == ("schedule", Cause("Unschedulable", f"no node has room{words}"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "starting: no node is chosen yet"),
        (
            {"nodeName": "n1", "containers": [{"name": "stage", "image": IMAGE}]},
            f'starting on node n1; it may have to pull image "{IMAGE}"',
        ),
    ],
)
def test_a_pod_on_its_way_says_what_it_waits_for(spec: Object, words: str) -> None:
    item = {**pod(waiting("ContainerCreating")), "spec": spec}
    assert "".join(read_job(job(active=1), [item]).starting) == words
    assert not read_job(job(active=1), [{**pod(waiting("ErrImagePull")), "spec": spec}]).starting
    assert not read_job(job(active=1), [{**pod(phase="Running"), "spec": spec}]).starting


@pytest.mark.parametrize(
    ("failed", "code", "words"),
    [
        (0, 1, "attempt 1 of 3 failed, the next one begins within about 10 s: "),  # not counted yet
        (2, 1, "attempt 2 of 3 failed, the next one begins within about 20 s: "),
        (
            1,
            1,
            "attempt 2 of 4 failed, the next one begins within about 10 s: ",
        ),  # one was disrupted, or in the same pod
        (3, 1, ""),
        (1, 121, ""),
    ],
)
def test_between_two_attempts_it_is_said_why_and_how_long_a_job_waits(failed: int, code: int, words: str) -> None:
    waits = job(failed=failed)
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [121]}}
    waits["spec"] = {"backoffLimit": 2, "podFailurePolicy": {"rules": [rule]}}
    left = {"reason": "ExitCode", "message": "train/run.py:3: no rows", "attempt": 2 if "of 4" in words else 0}
    ended = pod(terminated(code, message=json.dumps(left)), phase="Failed")
    cause = Cause("ExitCode", f"{words}train/run.py:3: no rows") if words else None
    assert read_job(waits, [ended]).cause == cause


@pytest.mark.parametrize("spec", [{"backoffLimit": 0}, {}])
def test_a_job_without_retries_says_of_no_next_attempt(spec: Object) -> None:
    ended = pod(terminated(1, message=said("ExitCode", "no rows")), phase="Failed")
    assert read_job({**job(failed=1), "spec": spec}, [ended]).cause is None


def test_a_failed_mount_is_found_in_its_event() -> None:
    message = 'MountVolume.SetUp failed for volume "v" : configmap "nope" not found'
    stuck = pod(waiting("ContainerCreating"), name="stuck")
    news = [event("FailedMount", "of another", "other-uid"), event("FailedMount", message, "stuck-uid")]
    fact = read_job(job(active=1), [stuck], news)
    assert (fact.blocked, fact.cause) == ("schedule", Cause("FailedMount", message))


def test_an_old_event_says_nothing_about_a_pod_that_runs() -> None:
    running = pod({"running": {"startedAt": "2026-11-23T14:54:34Z"}}, phase="Running")
    fact = read_job(job(active=1), [running], [event("FailedMount", "it was so", "p-uid")])
    assert (fact.blocked, fact.cause, fact.running) == ("", None, True)


def test_a_quotas_denial_of_a_job_is_found_in_its_event_and_does_not_name_the_pod_that_is_another_each_time() -> None:
    def denial(name: str) -> Object:
        words = f'Error creating: pods "{name}" is forbidden: exceeded quota: compute, requested: cpu=2, limited: cpu=1'
        return event("FailedCreate", words, "job-uid", "Job")

    facts = {read_job(job(), [], [denial(name)]) for name in ("iris-train-7-x7k2p", "iris-train-7-abcde")}
    (fact,) = facts
    words = (
        "exceeded quota: compute, requested: cpu=2, limited: cpu=1"
        " (raise the quota, or ask for less in the stage's config.ini)"
    )
    assert (fact.blocked, fact.cause) == ("schedule", Cause("QuotaExceeded", words))


def test_a_refusal_that_is_not_a_quotas_is_reported_as_a_refusal() -> None:
    words = 'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
    fact = read_job(job(), [], [event("FailedCreate", words, "job-uid", "Job")])
    assert fact.cause == Cause("PodRefused", 'violates PodSecurity "restricted:latest": runAsNonRoot != true')


def test_a_quota_that_wants_amounts_is_reported_with_who_can_name_them() -> None:
    words = 'Error creating: pods "x" is forbidden: failed quota: team: must specify limits.cpu for: stage'
    fact = read_job(job(), [], [event("FailedCreate", words, "job-uid", "Job")])
    assert fact.cause
    assert fact.cause.message.startswith(
        "failed quota: team: must specify limits.cpu for: stage (name them in the stage's"
    )
    assert "COACHWORK_DEFAULT_LIMITS" in fact.cause.message


# --- why a Job failed --------------------------------------------------------------------------------

OUT_OF_MEMORY = "train/train.py: was killed because it used more memory than it may: raise MEMORY_LIMIT_MB"
LIMITS = "the pod ran longer than its stage's limits allow, installation included"
ENDINGS: list[tuple[str, Object, Cause]] = [
    (
        "the launcher's words",
        pod(terminated(3, message=said("ExitCode", "train/train.py:7: exited with code 3")), phase="Failed"),
        Cause("ExitCode", "train/train.py:7: exited with code 3"),
    ),
    (
        "killed for memory with the launcher itself",
        pod(terminated(137, "OOMKilled"), phase="Failed"),
        Cause(
            "OutOfMemory",
            "the stage was killed because its node had no more memory (raise MEMORY_REQUEST_MB, or use less)",
        ),
    ),
    (
        "killed for memory above its limit",
        {
            **pod(terminated(137, "OOMKilled"), phase="Failed"),
            "spec": {"containers": [{"name": "stage", "resources": {"limits": {"memory": "64Mi"}}}]},
        },
        Cause(
            "OutOfMemory",
            "the stage was killed because it used more than 64 MiB of memory (raise MEMORY_LIMIT_MB, or use less)",
        ),
    ),
    (
        "killed for memory and the launcher lived to say which file",
        pod(terminated(137, "OOMKilled", said("OutOfMemory", OUT_OF_MEMORY)), phase="Failed"),
        Cause("OutOfMemory", OUT_OF_MEMORY),
    ),
    (
        "killed for memory and the launcher saw only a signal",
        pod(terminated(137, "OOMKilled", said("Signal", "train/train.py: was killed by SIGKILL")), phase="Failed"),
        Cause(
            "OutOfMemory",
            "the stage was killed because its node had no more memory (raise MEMORY_REQUEST_MB, or use less)",
        ),
    ),
    (
        "evicted",
        pod(terminated(137), phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        Cause("Evicted", "the node evicted the pod: The node was low on resource: memory."),
    ),
    (
        "the pod's deadline",
        pod(terminated(137), phase="Failed", reason="DeadlineExceeded", message="Pod was active on the node longer"),
        Cause("TimedOut", LIMITS),
    ),
    (
        "the pod's deadline, and the launcher was told to end",
        pod(terminated(143, message=said("Terminated", "told to end")), phase="Failed", reason="DeadlineExceeded"),
        Cause("TimedOut", LIMITS),
    ),
    (
        "the pod's deadline, and its image was still being pulled",
        pod(
            {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None}},
            phase="Failed",
            reason="DeadlineExceeded",
        ),
        Cause(
            "TimedOut",
            "the pod's limit passed before its container had started (its image was being pulled, or its volumes "
            "mounted: pull it to the nodes first, or raise COACHWORK_START_GRACE)",
        ),
    ),
    (
        "the script's time, and the pod's deadline after it",
        pod(
            terminated(124, message=said("TimedOut", "not done within 9 s")), phase="Failed", reason="DeadlineExceeded"
        ),
        Cause("TimedOut", "not done within 9 s"),
    ),
    (
        "no python3 in the image",
        pod(terminated(128, "StartError", 'exec: "python3": executable file not found in $PATH'), phase="Failed"),
        Cause("ContainerFailed", 'the image can\'t run python3: exec: "python3": executable file not found in $PATH'),
    ),
    (
        "the node is gone, with its pod",
        pod({"running": {}}, phase="Failed", conditions=[condition("DisruptionTarget", "DeletionByPodGC")]),
        Cause("PodLost", "the pod was lost with its node"),
    ),
    (
        "the node restarted",
        pod(terminated(137, "ContainerStatusUnknown", "The container could not be located"), phase="Failed"),
        Cause("PodLost", "the node lost the pod: it restarted, or went away"),
    ),
    (
        "the node would not take it",
        pod(phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource: cpu"),
        Cause("OutOfcpu", "Node didn't have enough resource: cpu"),
    ),
    (
        "killed without a word",
        pod(terminated(137), phase="Failed"),
        Cause("ExitCode", "the container ended with code 137 and left no cause"),
    ),
]


@pytest.mark.parametrize(("ended", "cause"), [item[1:] for item in ENDINGS], ids=[item[0] for item in ENDINGS])
def test_a_failed_job_says_why_its_pod_ended(ended: Object, cause: Cause) -> None:
    assert read_job(job(condition("Failed", "BackoffLimitExceeded"), failed=1), [ended]).cause == cause


def test_of_several_attempts_the_last_one_gives_the_cause() -> None:
    first = pod(terminated(1, message=said("ExitCode", "first")), phase="Failed", created="2026-11-23T14:00:00Z")
    last = pod(terminated(1, message=said("ExitCode", "last")), phase="Failed", created="2026-11-23T15:00:00Z")
    for pods in ([first, last], [last, first]):
        assert read_job(job(condition("Failed"), failed=2), pods).cause == Cause("ExitCode", "last")


def test_a_failed_job_whose_pods_are_gone_does_not_guess() -> None:
    assert read_job(job(condition("Failed", "BackoffLimitExceeded"), failed=1), []).cause is None


@pytest.mark.parametrize("words", ["[" * 4096, "[]", "1", "null", '{"reason": 5}', '{"reason": {"a": 1}', "\x00"])
def test_a_termination_message_that_the_stage_wrote_itself_is_only_not_believed(words: str) -> None:
    fact = read_pod(pod(terminated(1, message=words), phase="Failed"))
    assert fact.cause == Cause("ExitCode", "the container ended with code 1 and left no cause")


# --- Deployments -------------------------------------------------------------------------------------


def counts(wanted: int, **more: Any) -> Object:
    whole = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
    return {"observedGeneration": 3, **whole, **more}


@pytest.mark.parametrize(
    ("status", "available"),
    [
        (counts(2), True),
        (counts(2, observedGeneration=2), False),
        (counts(2, replicas=3), False),
        (counts(2, updatedReplicas=1), False),
        (counts(2, availableReplicas=1), False),
        ({"observedGeneration": 3}, False),
        ({}, False),
    ],
)
def test_a_rollout_is_done_when_all_counts_agree_at_the_new_generation(status: Object, available: bool) -> None:
    assert read_deployment(deployment(wanted=2, **status), []).available is available


@pytest.mark.parametrize(
    ("applied", "said_at", "generation", "failed"),
    [
        ("2026-11-23T14:00:00Z", "2026-11-23T14:10:00Z", 3, True),
        ("2026-11-23T14:00:00Z", "2026-11-23T13:59:00Z", 3, False),
        ("2026-11-23T14:00:00Z", "2026-11-23T14:00:00Z", 3, False),
        ("2026-11-23T14:00:00Z", "2026-11-23T14:10:00Z", 2, False),
        ("", "2026-11-23T14:10:00Z", 3, True),
    ],
)
def test_a_passed_progress_deadline_concerns_only_our_last_apply(
    applied: str, said_at: str, generation: int, failed: bool
) -> None:
    late = condition("Progressing", "ProgressDeadlineExceeded", "False", lastUpdateTime=said_at)
    fact = read_deployment(deployment(late, applied=applied, observedGeneration=generation), [])
    assert fact.failed is failed


def crash(code: int, message: str = "", **more: Any) -> Object:
    last = terminated(code, message=message)
    return service_pod(waiting("CrashLoopBackOff", "back-off 10s restarting failed container"), last=last, **more)


def test_a_launcher_that_gave_up_fails_its_service_at_once() -> None:
    words = said("StartupTimeout", "web/run.py: not ready within 60 s")
    fact = read_deployment(deployment(observedGeneration=3), [crash(121, words)])
    assert (fact.failed, fact.cause) == (True, Cause("StartupTimeout", "web/run.py: not ready within 60 s"))


def test_a_crash_loop_says_when_its_script_first_started_and_is_not_failed_yet() -> None:
    words = said("ExitCode", "web/run.py: exited with code 1", first_start="2026-11-23T14:00:00Z")
    fact = read_deployment(deployment(observedGeneration=3), [crash(1, words)])
    assert (fact.failed, fact.crash_started) == (False, "2026-11-23T14:00:00Z")
    assert fact.cause == Cause("ExitCode", "web/run.py: exited with code 1")


@pytest.mark.parametrize(
    ("started", "since"),
    [("1970-01-01T00:00:00Z", "2026-11-23T14:00:00Z"), ("2026-11-23T14:02:00Z", "2026-11-23T14:02:00Z")],
    ids=["never started", "killed with its launcher"],
)
def test_a_crash_loop_without_a_word_of_the_launcher_has_a_start_as_well(started: str, since: str) -> None:
    dead = crash(128)
    dead["metadata"]["creationTimestamp"] = "2026-11-23T14:00:00Z"
    dead["status"]["containerStatuses"][0]["lastState"]["terminated"]["startedAt"] = started
    assert read_deployment(deployment(observedGeneration=3), [dead]).crash_started == since


def test_a_container_that_runs_again_after_a_crash_is_not_down() -> None:
    words = said("ExitCode", "x", first_start="2026-11-23T14:00:00Z")
    again = service_pod({"running": {"startedAt": "2026-11-23T14:01:00Z"}}, last=terminated(1, message=words))
    fact = read_deployment(deployment(observedGeneration=3), [again])
    assert (fact.failed, fact.crash_started, fact.running) == (False, "", True)


@pytest.mark.parametrize(
    "other",
    [
        crash(121, said("StartupTimeout", "old"), digest="old"),
        crash(121, said("StartupTimeout", "old"), deleting=True),
        crash(121, said("StartupTimeout", "old"), labels={"app": "another"}),
    ],
    ids=["old template", "deleting", "another's"],
)
def test_pods_of_an_old_template_leaving_ones_and_others_are_not_judged(other: Object) -> None:
    fact = read_deployment(deployment(observedGeneration=3), [other])
    assert (fact.failed, fact.cause, fact.crash_started) == (False, None, "")


def test_a_quotas_denial_of_a_services_pods_gets_the_grace_of_what_can_not_be_scheduled() -> None:
    def denied(name: str) -> DeploymentFact:
        words = f'pods "{name}" is forbidden: exceeded quota: compute, requested: cpu=2'
        failure = condition("ReplicaFailure", "FailedCreate", message=words)
        return read_deployment(deployment(failure, observedGeneration=3), [])

    fact = denied("iris--web-7d9f-abcde")
    assert fact == denied("iris--web-7d9f-xyzzy")
    assert (fact.blocked, fact.cause) == (
        "schedule",
        Cause(
            "QuotaExceeded",
            "exceeded quota: compute, requested: cpu=2 (raise the quota, or ask for less in the stage's config.ini)",
        ),
    )


def test_a_bad_image_of_a_service_gets_the_start_grace() -> None:
    fact = read_deployment(
        deployment(observedGeneration=3), [service_pod(waiting("ErrImagePull", NOT_FOUND), phase="Pending")]
    )
    assert (fact.blocked, fact.running, fact.failed) == ("start", False, False)


def test_a_rolled_out_service_has_no_cause_whatever_its_pods_went_through() -> None:
    fact = read_deployment(deployment(**counts(1)), [crash(121, said("StartupTimeout", "x"))])
    assert (fact.available, fact.failed, fact.cause, fact.blocked) == (True, False, None, "")


# --- half-filled objects -----------------------------------------------------------------------------

TEXT = st.sampled_from(["", "True", "False", "2026-11-23T14:54:34Z", "[", '{"reason": "x", "message": "y"}'])
REASON = st.sampled_from(
    [
        "Failed",
        "Complete",
        "Ready",
        "ErrImagePull",
        "OOMKilled",
        "FailedCreate",
        "FailedMount",
        "Unschedulable",
        "StartError",
        "ReplicaFailure",
        "ProgressDeadlineExceeded",
        "Progressing",
        "PodScheduled",
        "RunContainerError",
    ]
)
NUMBER = st.integers(0, 130)


def half(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return an object of which each part may be absent or null."""
    return st.fixed_dictionaries({}, optional={key: st.none() | part for key, part in parts.items()})


def some(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a list, without null entries (the API has none)."""
    return st.lists(part, max_size=2)


ENDED = half(exitCode=NUMBER, reason=REASON, message=TEXT)
STATE = half(waiting=half(reason=REASON, message=TEXT), terminated=ENDED, running=half(startedAt=TEXT))
CONDITION = half(type=REASON, status=TEXT, reason=REASON, message=TEXT, lastUpdateTime=TEXT)
OWNERS = some(half(uid=st.sampled_from(["job-uid", "u"]), controller=st.booleans()))
METADATA = half(
    uid=TEXT, labels=half(**{names.STAGE: TEXT}), annotations=half(**{names.DIGEST: TEXT}), ownerReferences=OWNERS,
    creationTimestamp=TEXT, deletionTimestamp=TEXT,
)  # fmt: skip
CONTAINER = half(name=st.just("stage"), image=TEXT, state=STATE, lastState=STATE)
POD = half(
    metadata=METADATA,
    status=half(
        phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
        reason=REASON, message=TEXT, conditions=some(CONDITION), containerStatuses=some(CONTAINER),
    ),
)  # fmt: skip
EVENT = half(reason=REASON, message=TEXT, involvedObject=half(uid=st.sampled_from(["job-uid", ""])))
STATUS = half(
    conditions=some(CONDITION), failed=NUMBER, active=NUMBER, observedGeneration=NUMBER, replicas=NUMBER,
    updatedReplicas=NUMBER, availableReplicas=NUMBER, readyReplicas=NUMBER,
)  # fmt: skip
SPEC = half(replicas=NUMBER, selector=half(matchLabels=half(**{names.STAGE: TEXT})))
OWN = METADATA.map(lambda metadata: {**metadata, "name": "n", "uid": "job-uid"})
FIELDS = some(half(manager=st.just("coachwork"), time=TEXT, subresource=TEXT))


@given(half(status=STATUS), OWN, some(POD), some(EVENT))
def test_a_half_filled_job_is_read(job: Object, metadata: Object, pods: list[Object], news: list[Object]) -> None:
    read_job({**job, "metadata": metadata}, pods, news)


@given(half(status=STATUS, spec=SPEC), OWN, FIELDS, some(POD), some(EVENT))
def test_a_half_filled_deployment_is_read(
    thing: Object, metadata: Object, fields: list[Object], pods: list[Object], news: list[Object]
) -> None:
    read_deployment({**thing, "metadata": {**metadata, "managedFields": fields}}, pods, news)
