"""A service whose pods a quota forbids says so at once."""

from controller.core.model import Object
from tests.support.held import read_deployment


def deployment(message: str) -> Object:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    metadata = {"name": "iris--web", "uid": "d", "generation": 1}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}
    return {"metadata": metadata, "spec": spec, "status": {"observedGeneration": 1, "conditions": [failure]}}


def test_a_service_under_a_quota_waits_with_its_cause() -> None:
    fact = read_deployment(deployment('pods "x" is forbidden: exceeded quota: small'), ())
    assert fact.blocked == "schedule"
    assert fact.cause is not None
    assert fact.cause.reason == "QuotaExceeded"
