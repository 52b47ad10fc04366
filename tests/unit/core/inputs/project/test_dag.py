"""The order of a project's stages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.inputs.project.dag import parse


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", (("a",),)),
        ("a>>b,c>>d", (("a",), ("b", "c"), ("d",))),
        (" prepare >>\n train-a,\n\ttrain_b >> serve ", (("prepare",), ("train-a", "train_b"), ("serve",))),
        ("1_download >> 2.clean", (("1_download",), ("2.clean",))),
    ],
)
def test_steps_are_in_order_and_stages_of_a_step_together(text: str, steps: tuple[tuple[str, ...], ...]) -> None:
    assert parse(text) == (steps, ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no stage: write one, like prepare >> train >> serve"),
        (" >> , ", "names no stage: write one, like prepare >> train >> serve"),
        ("a >> >> b", "step 2 of 3 has an empty name: remove the >> or , too many"),
        ("a,", "step 1 of 1 has an empty name: remove the >> or , too many"),
        ("a >> b >> a", 'stage "a" is named 2 times: a stage runs once'),
        ("a_b, a-b", "stages a_b and a-b both become a-b: rename one"),
        ("A >> a", "stages A and a both become a: rename one"),
        ("train model", '"train model" has white space inside: steps are separated by >>, stages by a comma'),
        ("a -> b", '"a -> b": write >> between steps, not ->'),
        ("a=>b", '"a=>b": write >> between steps, not =>'),
        ("a > b", '"a > b": write >> between steps, not >'),
        ("a → b", '"a → b": write >> between steps, not →'),
        (",".join(f"s{n}" for n in range(101)), "names 101 stages: 100 at most"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(text: str, problem: str) -> None:
    steps, problems = parse(text)
    assert problems == (problem,)
    if "write >> between" in problem:
        assert steps == (("a", "b"),), "what else is wrong with these stages is said at once"


@pytest.mark.parametrize("name", ["../up", "a/b", ".git", "-a", "größe", "a" * 64, "a$b", "a\x00"])
def test_names_that_no_folder_or_object_should_have_are_refused(name: str) -> None:
    assert parse(name)[1][0].startswith("expected a stage's name (")


def test_all_mistakes_are_reported_at_once() -> None:
    assert len(parse("a, a, b c >> >> d_e, d-e, /x")[1]) == 5


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from(list("aAbB_-.> ,\n\0é"))))
def test_good_names_come_out_once_whatever_the_text(text: str) -> None:
    steps, _ = parse(text)
    stages = [name for step in steps for name in step]
    assert len(stages) == len(set(stages))
