"""What uv says of requirements that can't be met, in a sentence about the user's lines; uv's words are real."""

import pytest

from controller.runtime.install_requirements import ListedItem
from controller.runtime.install_resolve import PYTHON, Known, find

NEWEST = {"pandas": "3.1.1", "pandas<1.99": "1.5.3", "numpy": "2.4.6", "tensorflow": "2.21.0", "attrs": "26.1.0"}
NO_OTHER = "we can conclude that your requirements are unsatisfiable."
TAGS = (
    "hint: You require CPython 3.11 (`cp311`), but we only found wheels for `tensorflow` (v2.4.0) with the following\n"
    "Python ABI tags: `cp36m`, `cp38`"
)


@pytest.mark.parametrize(
    ("lines", "said", "output", "text"),
    [
        (
            ["pandas==1.99"],
            f"Because there is no version of pandas==1.99 and you require pandas==1.99, {NO_OTHER}",
            "",
            (
                f"there is no `pandas==1.99` in the package index X: "
                f"choose 3.1.1 (the newest for Python {PYTHON}) or 1.5.3 (the newest before 1.99)"
            ),
        ),
        (
            ["pandas>=3.5"],
            f"Because only pandas<=3.1.1 is available and you require pandas>=3.5, {NO_OTHER}",
            "",
            f"there is no `pandas>=3.5` in the package index X: choose 3.1.1 (the newest for Python {PYTHON})",
        ),
        (
            ["numpy==2.5.0"],
            (
                "Because the current Python version (3.11.7) does not satisfy Python>=3.12 and numpy==2.5.0 depends on "
                "Python>=3.12, we can conclude that numpy==2.5.0 cannot be used. "
                f"And because you require numpy==2.5.0, {NO_OTHER}"
            ),
            "",
            (
                f"`numpy==2.5.0` needs Python >=3.12, and this is Python {PYTHON}: "
                f"choose 2.4.6 (the newest for Python {PYTHON}), or another Python by PYTHON"
            ),
        ),
        (
            ["tensorflow==2.4"],
            (
                "Because tensorflow==2.4.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) "
                f"and you require tensorflow==2.4, {NO_OTHER}"
            ),
            TAGS,
            (
                f"`tensorflow==2.4` has no wheel for Python {PYTHON} here, only for Python 3.6, 3.8: "
                f"choose 2.21.0 (the newest for Python {PYTHON}), or another Python by PYTHON"
            ),
        ),
        (
            ["attrs>21,<21.2"],
            (
                "Because attrs==21.1.0 was yanked (reason: Not importable) and only the following versions of attrs "
                "are available: attrs<21 attrs==21.1.0 attrs>=21.2 we can conclude that attrs>21,<21.2 cannot be used. "
                f"And because you require attrs>21,<21.2, {NO_OTHER}"
            ),
            "",
            (
                "`attrs>21,<21.2` fits only what was taken back (Not importable): "
                f"choose 26.1.0 (the newest for Python {PYTHON})"
            ),
        ),
        (
            ["PIL"],
            f"Because pil was not found in the package registry and you require pil, {NO_OTHER}",
            "",
            "`pil` was not found in the package index X: write Pillow",
        ),
        (
            ["six", "botocore==1.29.0", "urllib3==2.5.0"],
            (
                "Because botocore==1.29.0 depends on urllib3>=1.25.4,<1.27 and you require urllib3==2.5.0, we can "
                "conclude that your requirements and botocore==1.29.0 are incompatible. "
                f"And because you require botocore==1.29.0, {NO_OTHER}"
            ),
            "",
            (
                "`botocore==1.29.0` can't be installed with `urllib3==2.5.0` (r.txt:3): "
                "botocore==1.29.0 depends on urllib3>=1.25.4,<1.27: change one of these lines"
            ),
        ),
        (
            ["mine==1.0"],
            f"Because mine==1.0 depends on other>2 and other<1 is all there is, and you require mine==1.0, {NO_OTHER}",
            "hint: `other` was asked for as a pre-release,\nbut they weren't enabled (try: `--prerelease=allow`)",
            (
                "Because mine==1.0 depends on other>2 and other<1 is all there is, and you require mine==1.0, "
                f"{NO_OTHER} (uv: `other` was asked for as a pre-release, but they weren't enabled "
                "(try: `--pre` in the requirements))"
            ),
        ),
    ],
)
def test_a_derivation_becomes_a_sentence_with_its_remedy(lines: list[str], said: str, output: str, text: str) -> None:
    names = [line.lower().replace("<", "=").replace(">", "=").partition("=")[0] for line in lines]
    items = [ListedItem(line, f"r.txt:{number}", name=names[number - 1]) for number, line in enumerate(lines, 1)]
    items = [item._replace(text=item.text.lower()) for item in items]
    known = Known("the package index X", lambda requirement: NEWEST.get(requirement, ""))
    assert find(said, output, items, known).text == text


def test_without_an_index_to_ask_the_remedy_is_another_version() -> None:
    said = f"Because there is no version of pandas==99 and you require pandas==99, {NO_OTHER}"
    found = find(said, "", [ListedItem("pandas==99", "r.txt:1", name="pandas")], Known(day="2021-03-05"))
    told = "there is no `pandas==99` in the package index: choose another version (packages as of 2021-03-05)"
    assert found == ("r.txt:1", told)
