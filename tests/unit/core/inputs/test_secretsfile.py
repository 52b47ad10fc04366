"""A file of secrets: values as they are written, and lines that can't be read."""

import pytest

from controller.core.inputs.secretsfile import parse


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("T=abc", "abc"),
        ("export T=abc", "abc"),
        ("  T = abc  ", "abc"),
        ("T=", ""),
        ("T=''", ""),
        ("T=abc'", "abc'"),
        ('T=abc"', 'abc"'),
        ("T=it's", "it's"),
        ("T='\"abc\"'", '"abc"'),
        ("T=\"'abc'\"", "'abc'"),
        (r'T="a \"b\" \\ c"', r'a "b" \ c'),
        (r"T='a \'b\' \n'", r"a 'b' \n"),
        (r"T=a\nb", r"a\nb"),
        ("T=a#b", "a#b"),
        ("T=#b", "#b"),
        ("T='a #b'", "a #b"),
        ("T=a #b", "a"),
        ("T=a=b==", "a=b=="),
        ("T=$HOME ${T} $(id) %T%", "$HOME ${T} $(id) %T%"),
        ('T={"a": 1}', '{"a": 1}'),
        ("\ufeffT=abc", "abc"),
        ("T=abc\r\nU=1\r\n", "abc"),
        ('T="-----BEGIN\nb\n-----END\n"', "-----BEGIN\nb\n-----END\n"),
        ("T=1\nT=2", "2"),
        ("# T=1\n\n# U=1\nT=2", "2"),
    ],
)
def test_a_value_is_what_python_dotenv_reads_and_nothing_is_interpolated(line: str, value: str) -> None:
    values, problems = parse(line.encode())
    assert (values["T"], problems) == (value, [])


def test_each_line_that_can_not_be_read_is_named_by_its_number_alone() -> None:
    lines = [
        "A=1",
        "",
        "",
        "hunter2",
        "# c",
        "D='it''s-hunter2'",
        'E = "hunter2" x',
        "F G=hunter2",
        "H=hunter\0",
        "B=2",
    ]
    values, problems = parse("\n".join([*lines, "C='hunter2", "I=hunter2"]).encode())
    assert (values["A"], values["B"]) == ("1", "2")
    assert [problem.split(":")[0] for problem in problems] == [f"line {number}" for number in (4, 6, 7, 8, 9, 11)]
    assert "hunter" not in " ".join(problems)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"T: x", "line 1: expected NAME=VALUE"),
        (b"T='x", "line 1: expected the same quote at both ends of the value, or none"),
        (b"T=1\nU=\xe9t\xe9", "line 2: not text in UTF-8, which a variable has to be: save the file as UTF-8"),
    ],
)
def test_a_problem_says_what_was_expected(content: bytes, problem: str) -> None:
    assert parse(content)[1] == [problem]
