from controller.core.archive import FileEntry
from controller.core.pages.artifacts import Folder, Row, crumbs, folder

FILES = [
    FileEntry("a.txt", 1, "2026-01-01T00:00:00Z"),
    FileEntry("models/a/x", 10, "2026-01-03T00:00:00Z"),
    FileEntry("models/b", 100, "2026-01-02T00:00:00Z"),
    FileEntry("models.txt", 5, "2026-01-02T00:00:00Z"),
]


def test_a_folder_shows_what_is_directly_in_it_and_the_sum_of_what_is_below() -> None:
    assert folder(FILES, "") == Folder(
        "",
        (
            Row("models", "models", 110, "2026-01-03T00:00:00Z", files=2),
            Row("a.txt", "a.txt", 1, "2026-01-01T00:00:00Z"),
            Row("models.txt", "models.txt", 5, "2026-01-02T00:00:00Z"),
        ),
    )
    below = folder(FILES, "models")
    assert below
    assert [(row.path, row.files) for row in below.rows] == [("models/a", 1), ("models/b", 0)]


def test_a_folder_in_which_nothing_is_does_not_exist_but_the_top_one_does() -> None:
    assert folder(FILES, "model") is None
    assert folder([], "") == Folder("", ())


def test_files_are_found_by_words_in_whatever_folder_they_are() -> None:
    found = folder(FILES, "", "MODEL x")
    assert found
    assert [row.name for row in found.rows] == ["models/a/x", "models.txt"]


def test_a_hostile_name_is_visible_and_leads_to_its_file() -> None:
    found = folder([FileEntry("<b>/\u202eexe\udce9?#", 1, "")], "<b>")
    assert found
    assert [(row.title, row.href) for row in found.rows] == [("\\u202eexe\\udce9?#", "%3Cb%3E/%E2%80%AEexe%E9%3F%23")]
    assert crumbs("<b>") == (("<b>", "%3Cb%3E"),)
