"""A project of a Bodywork 1.0 user, unchanged, on the cluster: secrets, services under their old names, a schedule."""

import json
from collections.abc import Iterator

import pytest

from tests.support import bodywork_project
from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl, told
from tests.support.old_projects import PROJECTS

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


def test_three_projects_that_want_the_same_short_name_run_at_the_same_time(coachwork: Coachwork) -> None:
    (old,) = (old for old in PROJECTS if old.folder == "yaml-1.0-berths")
    requests = [coachwork.name("berths") for _ in range(3)]
    for name in requests:
        coachwork.git.push(name, {path: text for path, text in old.files().items() if path != ".gitignore"})
        coachwork.request(name, project_name=name)
    records = {name: coachwork.ended(name) for name in requests}
    for name, record in records.items():
        assert record["phase"] == "Ready", told(record)
        for stage, line in old.says.items():
            assert line in coachwork.run_file(name, 1, f"logs/{stage}/1.log")
    without = [name for name in requests if "scoring-service" in records[name].get("problems", "")]
    assert len(without) == 2, records
    assert coachwork.http("scoring-service").body == "south"
    assert [coachwork.http(f"{name}--scoring-service").body for name in without] == ["south", "south"]
