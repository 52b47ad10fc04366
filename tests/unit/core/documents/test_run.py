"""What a run leaves on the volume reads back as it was written, in whatever version."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import layout
from controller.core.documents import run
from controller.core.documents.codec import Absent, Corrupt, Good, TooNew

PATHS = [layout.build("e1"), layout.environment("e1"), layout.checkout("https://x/y", "c" * 40)]


@given(st.frozensets(st.sampled_from(PATHS)))
def test_what_a_run_uses_is_read_as_it_was_written(paths: frozenset[PurePosixPath]) -> None:
    assert run.read_uses(run.write_uses(paths)) == Good(paths)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Absent),
        ("[", Corrupt),
        ("[]", Corrupt),
        ('{"paths": [""]}', Corrupt),
        ('{"paths": ["a\ufffd"]}', Corrupt),
        ("{}", TooNew),
        ('{"paths": "a"}', TooNew),
        ('{"paths": [1]}', TooNew),
        ('{"paths": [], "version": 2}', TooNew),
    ],
)
def test_what_is_not_a_list_of_uses_is_corrupt_or_newer(text: str, kind: type) -> None:
    assert isinstance(run.read_uses(text), kind)
