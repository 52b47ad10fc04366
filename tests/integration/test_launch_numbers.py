"""The numbers that a script leaves, and the gates that they have to hold."""

import pytest

from tests.support.launching import Stage

WRITE = "import json, os\nopen(os.environ['COACHWORK_METRICS'], 'w').write({})\n"


@pytest.mark.parametrize("code", [0, 3])
def test_the_numbers_that_a_script_writes_are_left_with_its_attempt(stage: Stage, code: int) -> None:
    script = WRITE.format("json.dumps({'accuracy': 0.93, 'rows': 1200, 'huge': 2 ** 80})")
    ended = stage.run(f"{script}raise SystemExit({code})")
    assert ended.code == code
    assert ended.results[1]["metrics"] == {"accuracy": 0.93, "rows": 1200, "huge": 2.0**80}
    assert "coachwork: numbers: accuracy 0.93, rows 1200, huge" in ended.text


@pytest.mark.parametrize(
    ("text", "taken", "warning"),
    [
        ("'{'", {}, 'not recorded: expected a JSON object like {"accuracy": 0.93}: Expecting property name'),
        ("'[1]'", {}, "not recorded: expected a JSON object"),
        ("'[' * 16000", {}, "not recorded: expected a JSON object"),
        ("'{}' + ' ' * 16384", {}, "not recorded: it is larger than 16 KiB"),
        (
            """'{"a": 1, "b": NaN, "c": "2", "d\\\\u001b[31m": 3, "e f": 4, "yes": true}'""",
            {"a": 1},
            "not recorded: 'b', 'c', 'd\\x1b[31m' and 2 more: a name is 1 to 64 letters",
        ),
        ("json.dumps({f'n{i}': i for i in range(60)})", {f"n{i}": i for i in range(50)}, "the first 50 of 60 numbers"),
        ("""'{"is-s3cr3t-value": 1, "s3cr3t-value": 2, "b": 3}'""", {"b": 3}, "not recorded: 'is-***', '***'"),
    ],
    ids=["cut", "list", "deep", "large", "odd", "many", "secret"],
)
def test_what_is_no_number_is_left_out_with_a_warning_and_the_script_ended_well(
    stage: Stage, text: str, taken: dict[str, float], warning: str
) -> None:
    stage.env = {"TOKEN": "s3cr3t-value"}
    ended = stage.run(WRITE.format(text), secrets=["TOKEN"])
    assert ended.code == 0
    assert ended.results[1]["metrics"] == taken
    (found,) = (line for line in ended.text.splitlines() if line.startswith("coachwork: warning: COACHWORK_METRICS: "))
    assert warning in found


def test_each_attempt_has_its_own_numbers(stage: Stage) -> None:
    script = "import os\nif os.environ['COACHWORK_ATTEMPT'] == '1':\n    " + WRITE.format("'{\"a\": 1}'").replace(
        "\n", "\n    "
    )
    ended = stage.run(f"{script}raise SystemExit(1)\n", first_retry=0, attempts=2)
    assert [ended.results[number]["metrics"] for number in (1, 2)] == [{"a": 1}, {}]


@pytest.mark.parametrize("made", ["os.mkdir", "os.mkfifo"])
def test_a_path_of_numbers_that_is_no_file_holds_nobody_up(stage: Stage, made: str) -> None:
    ended = stage.run(f"import os\n{made}(os.environ['COACHWORK_METRICS'])\n")
    assert (ended.code, ended.results[1]["metrics"]) == (0, {})


@pytest.mark.parametrize(
    ("numbers", "gate", "problem"),
    [
        ('{"accuracy": 0.93}', [["accuracy", ">=", 0.9, ">= 0.9"]], ""),
        ('{"accuracy": 0.9}', [["accuracy", ">=", 0.9, ">= 0.9"], ["accuracy", "==", 0.9, "== 0.9"]], ""),
        ('{"accuracy": 0.87}', [["accuracy", ">=", 0.9, ">= 0.9"]], "accuracy is 0.87, REQUIRE wants >= 0.9"),
        ('{"accuracy": 0.9}', [["accuracy", ">", 0.9, "> 0.9"]], "accuracy is 0.9, REQUIRE wants > 0.9"),
        (
            '{"rows": 5, "rmse": 2.5}',
            [["rows", ">", 5, "> 5"], ["rmse", "<=", 2.1, "<= previous * 1.05, which is 2.1"], ["rows", "<", 6, "< 6"]],
            "rows is 5, REQUIRE wants > 5; rmse is 2.5, REQUIRE wants <= previous * 1.05, which is 2.1",
        ),
        ('{"rmse": 1e9}', [["rmse", "<=", None, "<= previous"]], ""),
        (
            "{}",
            [["rmse", "<=", None, "<= previous"]],
            "rmse was not written to COACHWORK_METRICS, REQUIRE wants <= pre",
        ),
        (
            '{"acuracy": 0.93, "rows": 5}',
            [["accuracy", ">=", 0.9, ">= 0.9"]],
            "accuracy was not written to COACHWORK_METRICS (it has acuracy, rows), REQUIRE wants >= 0.9",
        ),
        (
            '{"rmse": NaN}',
            [["rmse", "<", 2, "< 2"]],
            "rmse was not written to COACHWORK_METRICS (not recorded: 'rmse': a name is 1 to 64 letters",
        ),
    ],
)
def test_a_stage_whose_numbers_do_not_hold_fails_once_and_says_which(
    stage: Stage, numbers: str, gate: list[list[object]], problem: str
) -> None:
    ended = stage.run(WRITE.format(repr(numbers)), require=gate, first_retry=0, attempts=3)
    assert [*ended.results] == [1]
    assert (ended.code, ended.message["reason"]) == ((121, "RequirementNotMet") if problem else (0, "Completed"))
    assert ended.message["message"].startswith(problem)


def test_a_script_that_fails_by_itself_is_not_judged_by_its_numbers(stage: Stage) -> None:
    ended = stage.run(WRITE.format("'{}'") + "raise SystemExit(3)", require=[["rmse", "<", 2, "< 2"]])
    assert (ended.code, ended.message["reason"]) == (3, "ExitCode")


def test_a_gate_in_yaml_is_named_as_it_is_written_there(stage: Stage) -> None:
    stage.file("bodywork.yaml", "version: '1.0'\n")
    ended = stage.run("pass", require=[["rmse", "<", 2, "< 2"]])
    assert ended.message["message"] == "rmse was not written to COACHWORK_METRICS, require wants < 2"
