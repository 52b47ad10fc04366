"""Pins that no longer work: what `validate` tells, and the day that it proposes."""

import re
from datetime import date

import pytest

from controller.core.images import by_default
from controller.core.inputs import requirements
from controller.core.inputs.project import asof, load
from controller.core.inputs.project.breaks import BREAKS, RELEASED
from tests.support.projects import BATCH_INI, MAIN_INI, SERVICE_INI, one_stage, tree

FLASK = (
    "train/requirements.txt:1: flask==1.1.2 does not work with itsdangerous 2.1 and later"
    " (it removed what flask imports): write RESOLVE_AS_OF = 2022-02-17 in [default] of bodywork.ini"
    " (not tried against the package index: `coachwork validate` does),"
    " or pin itsdangerous<2.1, jinja2<3.1, werkzeug<2.1 too"
)
UNTRIED = " (not tried against the package index: `coachwork validate` does)"


def warned(requirements: str, main: str = MAIN_INI, **others: str) -> tuple[str, ...]:
    return load(one_stage(BATCH_INI, main, **{"train/requirements.txt": requirements, **others})).warnings


def days(lines: tuple[str, ...]) -> set[str]:
    return {found[1] for line in lines if (found := re.search("RESOLVE_AS_OF = ([0-9-]+)", line))}


def test_a_pin_that_no_longer_works_is_reported_with_the_line_that_mends_it() -> None:
    assert warned("Flask == 1.1.2") == (FLASK,)


def test_a_pin_in_a_file_that_is_referred_to_is_reported_there() -> None:
    (line,) = warned("-r ../requirements.txt", **{"requirements.txt": "six\nflask==1.1.2"})
    assert line.startswith("requirements.txt:2: flask==1.1.2 ")


@pytest.mark.parametrize(
    ("pin", "day"),
    [
        ("flask==1.1.4", "2022-02-17"),
        ("flask==2.2.2", "2023-09-29"),
        ("jinja2==2.11.3", "2022-02-17"),
        ("pandas==1.5.3", "2024-06-15"),
        ("scikit-learn[x]==1.2.0.post1", "2024-06-15"),
        ("gensim==4.3.2", "2024-04-01"),
        ("flask-sqlalchemy==2.5.1", "2023-01-25"),
        ("tensorflow==2.8.0 ; os_name == 'posix'", "2022-05-26"),
        ("flask==1.1.2\npandas==1.2.2", "2022-02-17"),
        ("scikit-learn==0.23.2", "2022-12-17"),
        ("pandas==1.0.5", "2022-12-17"),
        ("streamlit==1.8.1", "2022-05-25"),
        ("mlflow==1.20.2", "2022-05-25"),
        ("onnx==1.11.0", "2022-05-25"),
        ("flask-login==0.6.0", "2023-04-24"),
        ("flask-restx==0.5.1", "2022-07-22"),
        ("connexion==2.14.0", "2023-04-24"),
        ("dash==2.0.0", "2022-03-27"),
        ("pandas==2.0.3\nflask==2.2.2", "2023-09-29"),
    ],
)
def test_the_day_is_the_last_on_which_all_known_pins_worked(pin: str, day: str) -> None:
    assert days(warned(pin)) == {day}


@pytest.mark.parametrize(
    "requirements",
    [
        "flask==2.2.4",
        "flask==2.2.5",
        "flask",
        "flask>=1.1.2",
        "flask<2",
        "flask==1.*",
        "flask==1.1.2rc1",
        "flask==1.1.2+local",
        "flask===anything",
        "flask==" + "1" * 5000,
        "pandas==2.1.2",
        "pandas==1.5.3\nnumpy<2",
        "pandas==1.5.3\nnumpy==1.24.4",
        "pandas==1.5.3\nnumpy @ https://host/numpy.whl",
        "flask==1.1.2\nitsdangerous==2.0.1\njinja2~=3.0.3\nwerkzeug>=1,<2",
    ],
)
def test_pins_that_work_and_stages_that_bound_the_dependency_are_left_alone(requirements: str) -> None:
    assert warned(requirements) == ()


def test_a_bound_in_a_file_of_constraints_is_enough() -> None:
    assert warned("pandas==1.5.3\n-c ../requirements-limits.txt", **{"requirements-limits.txt": "numpy<2"}) == ()


def test_what_is_still_open_is_reported_where_a_part_is_bounded() -> None:
    (line,) = warned("flask==1.1.2\nitsdangerous<2.1")
    assert "does not work with jinja2 3.1 and later" in line
    assert line.endswith(f"= 2022-03-23 in [default] of bodywork.ini{UNTRIED}, or pin jinja2<3.1, werkzeug<2.1 too")


def test_no_day_is_proposed_that_has_not_all_pins_of_the_project() -> None:
    texts = {
        "bodywork.ini": MAIN_INI.replace("= train", "= train >> serve"),
        "train/config.ini": BATCH_INI,
        "train/requirements.txt": "pandas==2.2.0",
        "serve/config.ini": SERVICE_INI,
        "serve/requirements.txt": "flask==1.1.2",
    }
    (line,) = load(tree(texts, "train/main.py", "serve/main.py")).warnings
    assert line.endswith(
        "pin itsdangerous<2.1, jinja2<3.1, werkzeug<2.1 too (no day has versions for all pins of this project)"
    )


def test_a_project_that_has_set_its_day_is_not_warned() -> None:
    main = MAIN_INI.replace("[workflow]", "RESOLVE_AS_OF = 2021-03-05\n[workflow]")
    assert warned("flask==1.1.2", main) == ()


def test_the_line_for_bodywork_yaml_is_one_of_bodywork_yaml() -> None:
    text = """\
version: "1.0"
project: {name: iris, DAG: train}
stages: {train: {executable_module_path: main.py, requirements: ["flask==1.1.2"], batch: {}}}
"""
    (line,) = load(tree({"bodywork.yaml": text}, "main.py")).warnings
    assert line.startswith("bodywork.yaml:3: stages.train.requirements: flask==1.1.2 ")
    assert f"write resolve_as_of: 2022-02-17 next to name in bodywork.yaml{UNTRIED}, or pin" in line


def yaml_project(**stages: str) -> tuple[str, ...]:
    """Return the warnings of a project whose DAG has `train` alone."""
    listed = [
        f"{name}: {{executable_module_path: main.py, requirements: [{pins}], batch: {{}}}}"
        for name, pins in stages.items()
    ]
    text = f'version: "1.0"\nproject: {{name: iris, DAG: train}}\nstages: {{{", ".join(listed)}}}\n'
    return load(tree({"bodywork.yaml": text}, "main.py")).warnings


def test_a_day_on_which_another_pin_was_not_there_is_not_proposed() -> None:
    (line,) = warned("flask==1.1.2\nrequests==2.31.0")
    assert "RESOLVE_AS_OF" not in line
    assert line.endswith("(no day has versions for all pins of this project)")


def test_stages_that_never_run_have_no_say_in_the_day() -> None:
    idle, line = yaml_project(train="flask==1.1.2", idle="pandas==2.2.0")
    assert "is not in the DAG" in idle
    assert "write resolve_as_of: 2022-02-17" in line
    assert [line for line in yaml_project(train="six", idle="flask==1.1.2") if "flask" in line] == []


@pytest.mark.parametrize(("python", "told"), [("3.8", 0), ("3.9", 1), ("3.12", 1)])
def test_what_the_stages_python_can_not_have_breaks_nothing(python: str, told: int) -> None:
    main = MAIN_INI.replace("[workflow]", f"PYTHON = {python}\n[workflow]")
    assert len(warned("pandas==1.5.3", main)) == told  # NumPy 2 is for Python 3.9 and later


@pytest.mark.parametrize(
    ("script", "pins", "day"),
    [
        ("@app.before_first_request\ndef f(): ...", "flask", "2023-04-24"),
        ("from flask.json import JSONEncoder", "flask>=2", "2023-04-24"),
        ("x = np.float(3)", "numpy", "2022-12-17"),
        ("x = numpy.object", "numpy>=1.19", "2022-12-17"),
        ("from jinja2 import Markup, escape", "jinja2", "2022-03-23"),
        ("from werkzeug.urls import url_quote", "werkzeug", "2023-09-29"),
    ],
)
def test_what_a_script_uses_that_is_gone_is_reported_where_the_package_is_not_bounded(
    script: str, pins: str, day: str
) -> None:
    (line,) = warned(pins, **{"train/main.py": script})
    assert line.startswith("train/main.py: ")
    assert " is not in " in line
    assert days((line,)) == {day}
    name = re.split("[>=]", pins)[0]
    for bounded in (f"{name}<1", f"{name}==0.9", "six"):
        assert warned(bounded, **{"train/main.py": script}) == ()


@pytest.mark.parametrize("script", ["x = np.float64(3)", "x = np.int32", "numpy.object_", "x.np.internal", "np.bool"])
def test_names_that_are_still_there_are_left_alone(script: str) -> None:
    assert warned("numpy", **{"train/main.py": script}) == ()


@pytest.mark.parametrize(("python", "told"), [("3.12", 1), ("3.11", 0), ("", 1)])
def test_pins_that_import_distutils_are_reported_where_the_python_has_none(python: str, told: int) -> None:
    main = MAIN_INI.replace("[workflow]", f"PYTHON = {python}\n[workflow]")
    lines = warned("seaborn==0.11.2", main)
    assert len(lines) == told
    for line in lines:
        assert line.endswith("no longer has: write PYTHON = 3.11, or a version from 0.12 on")
    assert warned("seaborn==0.12.2", main) == ()


def test_an_image_whose_python_cannot_be_seen_is_not_judged_by_the_controllers() -> None:
    main = MAIN_INI.replace("[workflow]", "DOCKER_IMAGE = acme/ml\n[workflow]")
    found = one_stage(BATCH_INI, main, **{"train/requirements.txt": "seaborn==0.11.2"})
    assert load(found, python=by_default("3.12")).warnings == ()


BODYWORK = MAIN_INI.replace("[workflow]", "DOCKER_IMAGE = bodyworkml/bodywork-core:2.1\n[workflow]")


def test_a_project_of_bodywork_takes_the_day_of_its_commit_and_is_not_warned() -> None:
    assert load(one_stage(BATCH_INI, BODYWORK)).resolve_as_of == "commit"
    assert warned("flask==1.1.2", BODYWORK) == ()


@pytest.mark.parametrize(
    ("written", "taken"),
    [("now", ""), ("NOW", ""), ("commit", "commit"), ("Commit", "commit"), ("2021-03-05", "2021-03-05")],
)
def test_what_a_project_says_of_its_day_wins(written: str, taken: str) -> None:
    main = BODYWORK.replace("[workflow]", f"RESOLVE_AS_OF = {written}\n[workflow]")
    assert load(one_stage(BATCH_INI, main)).resolve_as_of == taken


# --- the day of a stage ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "lines", "day"),
    [
        ("2022-11-03", ["six"], "2022-11-03"),
        ("2022-11-03", ["flask==1.1.2"], "2022-02-17"),
        ("2021-03-05", ["flask==1.1.2"], "2021-03-05"),
        ("2023-11-03", ["flask==1.1.2", "requests==2.31.0"], "2022-02-17"),
        ("", ["flask==1.1.2"], "2022-02-17"),
        ("", ["six"], ""),
    ],
)
def test_the_day_is_the_earlier_of_the_commits_and_the_pins(changed: str, lines: list[str], day: str) -> None:
    found = requirements.find(requirements.Files((), (), {}), "", ".", [("x:1", line) for line in lines])
    assert asof.decide(changed, found.entries, "3.9").day == day


def test_a_run_says_which_two_days_its_packages_were_chosen_by() -> None:
    pipeline = load(one_stage(BATCH_INI, BODYWORK))
    days = {"a": asof.AsOf("2022-02-17", "2022-11-03", "2022-02-17"), "b": asof.AsOf("2022-11-03", "2022-11-03")}
    why = "(RESOLVE_AS_OF = commit, the default with Bodywork's image)"
    first, second = asof.notes(pipeline, days | {"c": days["b"]})
    assert first == (
        f"stage a: packages are those of 2022-02-17 {why}: the requirements last changed on 2022-11-03, and their pins "
        "worked until 2022-02-17; RESOLVE_AS_OF = now takes the newest"
    )
    assert second == (
        f"stages b, c: packages are those of 2022-11-03 {why}: the requirements last changed on 2022-11-03, and no "
        "known pin needs an earlier day; RESOLVE_AS_OF = now takes the newest"
    )


# --- what files require --------------------------------------------------------------------------------


def test_requirements_mean_the_same_whatever_else_is_in_their_file() -> None:
    one = b'version: "1.0"\nproject: {name: a, DAG: t}\nstages: {t: {requirements: ["six==1.16.0"]}}\n'
    for same in (one + b"# a comment\n", one.replace(b"name: a", b"name: b"), one.replace(b'"six', b'  "six')):
        assert asof.Meaning("t")({"bodywork.yaml": same}) == asof.Meaning("t")({"bodywork.yaml": one})
    for other in (one.replace(b"1.16", b"1.15"), one.replace(b"t: {req", b"s: {req"), b"\x00", b": ["):
        assert asof.Meaning("t")({"bodywork.yaml": other}) != asof.Meaning("t")({"bodywork.yaml": one})
    plain, commented = (asof.Meaning("t")({"t/r.txt": text}) for text in (b"six\n", b"\n# why\nsix # that\r\n"))
    assert plain == commented


def test_the_files_that_requirements_stand_in_are_known() -> None:
    project = requirements.Files(
        {"a/r.txt", "b:c.txt"}, {"a"}, {"a/r.txt": b"-c ../b:c.txt\nsix\nnumpy", "b:c.txt": b"x"}
    )
    assert {entry.file for entry in requirements.find(project, "a/r.txt", "a").entries} == {"a/r.txt", "b:c.txt"}
    (entry,) = requirements.find(project, "", ".", [("bodywork.yaml:3: stages.t.requirements", "six")]).entries
    assert entry.file == "bodywork.yaml"


def test_the_table_holds_days() -> None:
    for day in [*(one.last for one in BREAKS), *(day for table in RELEASED.values() for day in table.values())]:
        assert date.fromisoformat(day).isoformat() == day


@pytest.mark.timeout(20)
@pytest.mark.parametrize("words", ["flask.json ", "from jinja2 import ", "from werkzeug.urls import ", "np."])
def test_a_script_of_one_long_line_is_judged_in_no_time(words: str) -> None:
    script = f"# {words * (250_000 // len(words))}"
    assert warned("flask\nnumpy\njinja2\nwerkzeug", **{"train/main.py": script}) == ()
