import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.pages.preview import (
    COLUMNS,
    LINE,
    PICTURE,
    READ,
    ROWS,
    Nothing,
    Page,
    Picture,
    Preview,
    Table,
    Words,
    ending,
    preview,
)


def shown(path: str, content: bytes) -> Preview:
    return preview(path, len(content), content[:READ])


@pytest.mark.parametrize(
    ("path", "content", "wanted"),
    [
        ("plots/roc.PNG", b"\x89PNG", Picture()),
        ("drawing.svg", b"<svg onload='alert(1)'/>", Picture()),
        ("report.html", b"<script>alert(1)</script>", Page()),
        ("notes.md", b"# <b>bold</b>\r\nnext", Words("# <b>bold</b>\nnext", cut=False)),
        ("model.bin", b"a\0b", Nothing("not text: download it")),
        ("png", b"a\tb", Words("a   b", cut=False)),
        ("empty.csv", b"", Nothing("empty")),
        ("log", b"\x1b[31mred\x07 \xe2\x80\xaeevil", Words("\\x1b[31mred\\x07 \\u202eevil", cut=False)),
        ("latin1.txt", b"caf\xe9", Words("caf\N{REPLACEMENT CHARACTER}", cut=False)),
        ("metrics.json", b'{"b": 1, "a": [0.5]}', Words('{\n  "b": 1,\n  "a": [\n    0.5\n  ]\n}', cut=False)),
        ("broken.json", b'{"b": ', Words('{"b": ', cut=False)),
        ("deep.json", b"[" * 100_000, Words("[" * (LINE - 1) + "…", cut=False)),
    ],
)
def test_a_name_decides_how_a_file_is_shown(path: str, content: bytes, wanted: Preview) -> None:
    assert shown(path, content) == wanted


@pytest.mark.parametrize(
    ("path", "content", "wanted"),
    [
        ("a.csv", b"x,y\n1,one\n-2e3,\n", Table(("x", "y"), (("1", "one"), ("-2e3", "")), frozenset({0}), cut=False)),
        ("a.csv", "\ufeffx;y\r\n1;2\r\n".encode(), Table(("x", "y"), (("1", "2"),), frozenset({0, 1}), cut=False)),
        ("a.tsv", b"x,y\tz\n1\n", Table(("x,y", "z"), (("1", ""),), frozenset({0, 1}), cut=False)),
        ("a.csv", b'x\n"two\nlines"\n', Table(("x",), (("two\\nlines",),), frozenset(), cut=False)),
        ("a.csv", b"x,y\n", Table(("x", "y"), (), frozenset(), cut=False)),
    ],
)  # fmt: skip
def test_a_table_has_its_rows(path: str, content: bytes, wanted: Table) -> None:
    assert shown(path, content) == wanted


def test_what_is_shown_is_bounded_and_says_so() -> None:
    long = shown("a.csv", b"x,y\n" + b"1,2\n" * 1_000_000)
    assert isinstance(long, Table)
    assert (len(long.rows), long.cut) == (ROWS, True)
    wide = shown("a.csv", b",".join(b"%d" % at for at in range(10_000)))
    assert isinstance(wide, Table)
    assert (len(wide.header), wide.header[-1]) == (COLUMNS + 1, "…")
    text = shown("a.txt", b"x" * (READ + 1))
    assert text == Words("x" * (LINE - 1) + "…", cut=True)
    assert preview("a.png", PICTURE + 1, b"") == Nothing("larger than 32 MiB: download it")
    assert isinstance(shown("a.json", json.dumps(["x" * 50] * 50_000).encode()), Words)


@given(
    st.sampled_from(["a.csv", "a.tsv", "a.json", "a.txt", "a.html", "a"]), st.binary(max_size=300), st.integers(0, 9)
)
def test_no_content_is_too_strange(path: str, content: bytes, cut: int) -> None:
    found = preview(path, len(content) + cut, content)
    if isinstance(found, Words):
        assert found.text.replace("\n", "").isprintable()
    if isinstance(found, Table):
        assert len({len(row) for row in (found.header, *found.rows)}) == 1
        assert all(cell.isprintable() for row in (found.header, *found.rows) for cell in row)


def test_a_folder_with_a_dot_gives_a_file_no_ending() -> None:
    assert ending("v1.csv/model") == ""
