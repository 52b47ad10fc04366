"""A project of a Bodywork 1.0 user, unchanged, on the cluster: secrets, services under their old names, a schedule."""

import json
from collections.abc import Iterator

import pytest

from tests.support import bodywork_project
from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl, told

LAST = "stage-4-test-scoring-service"  # the folder of its logs


@pytest.fixture
def secret() -> Iterator[None]:
    """Have the Secret that the project names, made as its user would."""
    pairs = [f"--from-literal={name}={value}" for name, value in bodywork_project.CREDENTIALS.items()]
    kubectl("-n", NAMESPACE, "create", "secret", "generic", bodywork_project.SECRET, *pairs)
    yield
    kubectl("-n", NAMESPACE, "delete", "secret", bodywork_project.SECRET)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("secret")
def test_it_runs_serves_and_runs_again_by_its_schedule(coachwork: Coachwork) -> None:
    name = coachwork.name("prices")
    coachwork.git.push(name, bodywork_project.files(name))
    coachwork.request(name, schedule="0 6 * * *")
    record = coachwork.ended(name, seconds=400)
    assert record["phase"] == "Ready", told(record)
    assert all("bodywork" in line.lower() for line in record["problems"].splitlines()), told(record)  # Python and day
    assert bodywork_project.SAYS in coachwork.run_file(name, 1, f"logs/{LAST}/1.log")
    reply = coachwork.http(f"{name}--stage-3-scoring-service", "/price/v1/predict", {"area": 50})
    assert round(reply.json()["price"]) == 100
    assert bodywork_project.CREDENTIALS["STORE_PASSWORD"] not in json.dumps(record)

    eventually(lambda: coachwork.get("cronjob", name), "CronJob")
    kubectl("-n", NAMESPACE, "create", "job", f"--from=cronjob/{name}", f"{name}-by-hand")
    ready = (f"job/{name}-by-hand", "--for=condition=Complete", "--timeout=240s")
    kubectl("-n", NAMESPACE, "wait", *ready, seconds=260)
    assert bodywork_project.SAYS in coachwork.run_file(name, 2, f"logs/{LAST}/1.log")
