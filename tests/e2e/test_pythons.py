"""Which Python stages have on a cluster: of Bodywork's image, of PYTHON, by the images of the setting."""

from tests.support.e2e import Coachwork, told

SAY = "import sys, six\nprint('Python', *sys.version_info[:2], 'six', six.__version__)\n"
MAIN = """\
[default]
PROJECT_NAME = {name}
DOCKER_IMAGE = bodyworkml/bodywork-core:2.1
RESOLVE_AS_OF = 2021-06-01
[workflow]
DAG = old, younger, new
"""
STAGE = "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = say.py\n"


def project(name: str, *, new: str = "3.12") -> dict[str, str | bytes]:
    pythons = {"old": "", "younger": "PYTHON = 3.10\n", "new": f"PYTHON = {new}\n"}
    files: dict[str, str | bytes] = {"bodywork.ini": MAIN.format(name=name)}
    for stage, line in pythons.items():
        files |= {f"{stage}/config.ini": STAGE + line, f"{stage}/say.py": SAY, f"{stage}/requirements.txt": "six\n"}
    return files


def test_stages_of_one_project_run_on_the_pythons_that_they_ask_for(coachwork: Coachwork) -> None:
    name = coachwork.name("pythons")
    coachwork.git.push(name, project(name))
    coachwork.request(name)
    record = coachwork.ended(name)
    assert record["phase"] == "Ready", told(record)
    said = {stage: coachwork.run_file(name, 1, f"logs/{stage}/1.log") for stage in ("old", "younger", "new")}
    assert "Python 3 10 six 1.16.0" in said["old"]  # the setting says 3.8=python:3.10-slim
    assert "Python 3 10 six 1.16.0" in said["younger"]
    assert "Python 3 12 six 1.16.0" in said["new"]
    images = {pod["metadata"]["labels"]["coachwork.io/stage"]: pod["spec"]["containers"][0]["image"]
              for pod in coachwork.pods(name)}  # fmt: skip
    assert images == {"old": "python:3.10-slim", "younger": "python:3.10-slim", "new": "python:3.12-slim"}


def test_a_python_that_the_setting_has_no_image_of_is_refused_at_once(coachwork: Coachwork) -> None:
    name = coachwork.name("pythons")
    coachwork.git.push(name, project(name, new="3.13"))
    coachwork.request(name)
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Invalid", "InvalidProject"), told(record)
    assert "add 3.13=IMAGE to COACHWORK_IMAGES" in record["message"]
