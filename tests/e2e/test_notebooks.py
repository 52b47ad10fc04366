"""Notebooks on a cluster: a batch stage with its parameters, its cause and its page, and a service."""

import json
from pathlib import Path

import pytest
import yaml

from tests.support.e2e import Coachwork, ask, told
from tests.support.notebooks import notebook

EXAMPLE = Path(__file__).parents[2] / "examples/notebook"
SECONDS = 400  # packages are downloaded and unpacked while three other tests run
BODYWORK = {  # in the form that Bodywork's notebooks have
    "version": "1.0",
    "project": {"name": "ask", "docker_image": "bodyworkml/bodywork-core:3.0", "DAG": "answer"},
    "stages": {
        "answer": {
            "executable_module_path": "answer.ipynb",
            "requirements": ["nbconvert", "ipykernel"],
            "service": {"max_startup_time_seconds": 90, "port": 5000},
        }
    },
}
SERVER = """
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(WORD.encode())
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""

pytestmark = pytest.mark.timeout(900)


def test_notebooks_run_as_batch_stage_and_as_service(coachwork: Coachwork) -> None:
    batch, service = coachwork.name("notebook"), coachwork.name("ask")
    served = notebook("WORD = 'nobody'", "import http.server, os", SERVER, tags={1: "parameters"})
    coachwork.git.push(batch, {str(path.relative_to(EXAMPLE)): path.read_bytes() for path in EXAMPLE.rglob("*.*")})
    coachwork.git.push(service, {"bodywork.yaml": yaml.safe_dump(BODYWORK), "answer.ipynb": served})
    coachwork.request(batch, env={"DEGREE": "3"})
    coachwork.request(service, project_name=service, env={"WORD": "from a cell"})

    record = coachwork.ended(batch, seconds=SECONDS)
    assert (record["phase"], record["stage.fit"]) == ("Ready", "Done"), told(record)
    assert coachwork.stages(record)["fit"]["metrics"]["rmse"] < 0.5
    assert len(json.loads(coachwork.run_file(batch, 1, "artifacts/model.json"))["coefficients"]) == 4
    assert "data:image/png;base64," in coachwork.run_file(batch, 1, "artifacts/notebooks/fit.html")
    assert "\ncell 2 of 5: import json\n200 readings " in coachwork.run_file(batch, 1, "logs/fit/1.log")

    record = coachwork.ended(service, seconds=SECONDS)
    assert record["phase"] == "Ready", told(record)
    assert ask(coachwork.address(f"{service}--answer")).body == "from a cell"

    coachwork.annotate(batch, set='many {"DEGREE": "many"}')
    record = coachwork.trigger(batch, "many")
    cause = "stage fit: fit/fit.ipynb, cell 3, line 1: "
    assert (record["phase"], record["message"][: len(cause)]) == ("Failed", cause), told(record)
    assert "Traceback" in coachwork.run_file(batch, 2, "artifacts/notebooks/fit.ipynb")
