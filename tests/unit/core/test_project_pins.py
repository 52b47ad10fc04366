"""Pins that no longer work: what `validate` tells, and the day that it proposes."""

import re
from datetime import date

import pytest

from controller.core.project import load
from controller.core.project.pins import BREAKS, RELEASED
from tests.support.projects import BATCH_INI, MAIN_INI, SERVICE_INI, one_stage, tree

FLASK = (
    "train/requirements.txt:1: flask==1.1.2 does not work with itsdangerous 2.1 and later"
    " (it removed what flask imports): write RESOLVE_AS_OF = 2022-02-17 in [default] of bodywork.ini,"
    " or pin itsdangerous<2.1, jinja2<3.1, werkzeug<2.1 too"
)


def warned(requirements: str, main: str = MAIN_INI, **others: str) -> tuple[str, ...]:
    return load(one_stage(BATCH_INI, main, **{"train/requirements.txt": requirements, **others})).warnings


def days(lines: tuple[str, ...]) -> set[str]:
    return {found[1] for line in lines if (found := re.search("RESOLVE_AS_OF = ([0-9-]+)", line))}


def test_a_pin_that_no_longer_works_is_told_with_the_line_that_mends_it() -> None:
    assert warned("Flask == 1.1.2") == (FLASK,)


def test_a_pin_in_a_file_that_is_referred_to_is_told_there() -> None:
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
        "flask==nonsense",
        "pandas==2.1.2",
        "pandas==1.5.3\nnumpy<2",
        "pandas==1.5.3\nnumpy==1.24.4",
        "pandas==1.5.3\nnumpy @ https://host/numpy.whl",
        "flask==1.1.2\nitsdangerous==2.0.1\njinja2~=3.0.3\nwerkzeug>=1,<2",
    ],
)
def test_pins_that_work_and_stages_that_bound_the_dependency_are_left_alone(requirements: str) -> None:
    assert warned(requirements) == ()


def test_a_bound_in_a_file_of_constraints_counts() -> None:
    assert warned("pandas==1.5.3\n-c ../requirements-limits.txt", **{"requirements-limits.txt": "numpy<2"}) == ()


def test_what_is_still_open_is_told_where_a_part_is_bounded() -> None:
    (line,) = warned("flask==1.1.2\nitsdangerous<2.1")
    assert "does not work with jinja2 3.1 and later" in line
    assert line.endswith("RESOLVE_AS_OF = 2022-03-23 in [default] of bodywork.ini, or pin jinja2<3.1, werkzeug<2.1 too")


def test_no_day_is_proposed_that_has_not_all_pins_of_the_project() -> None:
    texts = {
        "bodywork.ini": MAIN_INI.replace("= train", "= train >> serve"),
        "train/config.ini": BATCH_INI,
        "train/requirements.txt": "pandas==2.2.0",
        "serve/config.ini": SERVICE_INI,
        "serve/requirements.txt": "flask==1.1.2",
    }
    (line,) = load(tree(texts, "train/main.py", "serve/main.py")).warnings
    assert line.endswith("pin itsdangerous<2.1, jinja2<3.1, werkzeug<2.1 too (no day has all pins of this project)")


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
    assert line.startswith("bodywork.yaml: stages.train.requirements: flask==1.1.2 ")
    assert "write resolve_as_of: 2022-02-17 beside name in bodywork.yaml, or pin" in line


def test_the_table_holds_days() -> None:
    for day in [*(one.last for one in BREAKS), *(day for table in RELEASED.values() for day in table.values())]:
        assert date.fromisoformat(day).isoformat() == day
