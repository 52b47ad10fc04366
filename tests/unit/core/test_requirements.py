"""Requirement texts as pip reads them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.requirements import lines, references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("pandas==2.2\n\n  flask\n", ("pandas==2.2", "flask")),
        ("# all\npandas # why\npandas#no\n", ("pandas", "pandas#no")),
        ("git+https://h/r@v1#egg=x\n", ("git+https://h/r@v1#egg=x",)),
        ("pandas \\\n  >=2\n", ("pandas   >=2",)),
        ("a \\\n# comment\nb", ("a", "b")),
        ("a\\", ("a",)),
        ("a\r\nb", ("a", "b")),
    ],
)
def test_lines_keep_what_means_something_in_order(text: str, expected: tuple[str, ...]) -> None:
    assert lines(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-r common.txt", "common.txt"),
        ("-rcommon.txt", "common.txt"),
        ("-c ../limits.txt", "../limits.txt"),
        ("--requirement=common.txt", "common.txt"),
        ("--constraint common.txt", "common.txt"),
        ("-e .", "."),
        ("-e ./lib[extra]", "./lib"),
        ("./lib ; python_version > '3'", "./lib"),
        ("wheels/a-1.0-py3-none-any.whl", "wheels/a-1.0-py3-none-any.whl"),
        ("lib @ file:./lib", "./lib"),
        ("lib @ file:///opt/lib", "/opt/lib"),
    ],
)
def test_local_files_are_references(line: str, expected: str) -> None:
    assert references((line,)) == (expected,)


@pytest.mark.parametrize(
    "line",
    [
        "pandas==2.2.3",
        "scikit-learn = 0.24.2",
        "-r https://host/r.txt",
        "-e git+https://host/r",
        "lib @ https://host/a.whl",
        "https://host/a.whl",
        "git+https://host/r@v1",
        "--index-url https://host/simple",
        "requests[security]>=2 ; python_version > '3'",
    ],
)
def test_other_lines_refer_to_no_file(line: str) -> None:
    assert references((line,)) == ()


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from(list("-rce.@[]=# \\\n/a;:"))))
def test_normal_form_is_stable(text: str) -> None:
    once = lines(text)
    assert all(line and line == line.strip() for line in once)
    references(once)


def test_hostile_lines_are_looked_at_quickly() -> None:
    assert references(("[" * 200_000, "a" + " " * 200_000 + "x")) == ()
