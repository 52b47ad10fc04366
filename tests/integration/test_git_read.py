"""Git against real repositories and a real server: what is read of a checkout, and when its files last changed."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters.git import Git, GitSettings
from controller.core import layout
from controller.core.errors import Busy, NotYet, Transient
from controller.core.inputs.project.asof import Meaning
from controller.core.model import Unread
from tests.support.gitserver import CLEAN, INI, SETTINGS, GitServer, Repository, hitch, published, refusal

# --- read -------------------------------------------------------------------------------------------


def test_a_project_is_read_with_its_texts_its_files_and_its_tree(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.commit({
        "ml/bodywork.ini": INI, "ml/train/config.ini": "c", "ml/train/requirements.txt": "r", "ml/train/x.py": "",
        "ml/a/b/c/requirements-dev.txt": "deep", "ml/a/b/c/d/requirements.txt": "too deep", "ml/a/b/config.ini": "no",
        "ml/bodywork.yaml": "y", "ml/bodywork.yml": "z", "ml/train/model.bin": b"\x00\xff",
    })  # fmt: skip
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, "ml")
    assert tree.digest == iris.git("rev-parse", "HEAD:ml")
    assert not tree.texts
    assert {"train/x.py", "train/model.bin", "a/b/config.ini"} <= tree.files
    wanted = ("bodywork.yaml", "train/config.ini", "a/b/c/d/requirements.txt")
    tree = git.extend(server.url("iris"), checkout.name, tree, Unread(texts=wanted))
    tree = git.extend(server.url("iris"), checkout.name, tree, Unread(texts=("a/b/config.ini",)))
    assert dict(tree.texts) == dict(zip(wanted, (b"y", b"c", b"too deep"), strict=True)) | {"a/b/config.ini": b"no"}
    assert not tree.faults
    assert not tree.warnings
    whole = git.read(server.url("iris"), checkout.name, ".")
    assert whole.digest == iris.git("rev-parse", "HEAD^{tree}")
    assert not [name for name in whole.files if name.startswith((".git", ".complete"))]


def test_the_content_of_files_is_known_without_reading_them(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    files = {"ml/bodywork.ini": INI, "ml/a/x.py": "1", "ml/b/x.py": "1", "README.md": "old"}
    found = []
    for more in ({}, {"README.md": "new"}, {"ml/a/x.py": "2"}):
        iris.commit({**files, **more})
        checkout = published(git, volume, server.url("iris"))
        found.append(git.contents(server.url("iris"), checkout.name, "ml"))
    first, second, third = found
    assert {"bodywork.ini", "a/x.py", "b/x.py"} <= first.keys()
    assert "README.md" not in first
    assert first == second
    assert {name for name in first if first[name] != third[name]} == {"a/x.py"}
    assert first["a/x.py"] == first["b/x.py"]


def test_what_changes_how_files_are_checked_out_counts_as_well(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    lib = server.repository("lib").commit({"lib.py": "1"})
    iris.link("linked", "ml")
    iris.commit({"ml/bodywork.ini": INI, "ml/a/data.csv": "1\n", "a/data.csv": "1\n"})
    iris.submodule("ml/lib", server.url("lib"), lib, "update = none")

    def contents(path: str) -> Mapping[str, str]:
        return git.contents(server.url("iris"), published(git, volume, server.url("iris")).name, path)

    before = contents("ml"), contents("linked")
    edits = {
        "filled": {".gitmodules": (iris.folder / ".gitmodules").read_text().replace("update = none", "")},
        "converted": {".gitattributes": "*.csv text eol=crlf\n"},
        "elsewhere": {"a/data.csv": "2\n", "a/.gitattributes": "* -text\n"},
    }
    changed: dict[str, list[set[str]]] = {}
    for word, files in edits.items():
        iris.commit(files)
        after = contents("ml"), contents("linked")
        changed[word] = [
            {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
            for old, new in zip(before, after, strict=True)
        ]
        before = after
    assert changed == {
        "filled": [{"lib"}, {"/ml/lib", "/.gitmodules"}],
        "converted": [{"/.gitattributes"}, {"/.gitattributes"}],
        "elsewhere": [set(), {"/a/data.csv", "/a/.gitattributes"}],
    }


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("trian", "train"),
        ("train/nothing", "train has no folders"),
        ("train/train.py", "is a file"),
        ("../..", "expected a folder inside"),
        ("out", "leaves the repository"),
        ("hidden", "leaves the repository"),
        ("-x", "no folder"),
    ],
)
def test_a_path_that_is_not_a_folder_of_the_repository_is_refused(
    server: GitServer, iris: Repository, git: Git, volume: Path, path: str, word: str
) -> None:
    iris.link("out", "../../..")
    iris.link("hidden", ".git")
    iris.git("add", "--all")
    iris.git("commit", "--quiet", "--message", "links")
    checkout = published(git, volume, server.url("iris"))
    reason, line = refusal(lambda: git.read(server.url("iris"), checkout.name, path))
    assert reason == "PathNotFound"
    assert word in line


def test_links_inside_are_followed_and_those_that_leave_are_reported(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    links = {
        "serve/config.ini": "../train/config.ini", "other": "train", "train/loop": "..", "self": "self",
        "bad/config.ini": "/etc/passwd", "bad/requirements.txt": "../../../../etc/passwd", "data": "/etc",
        "odd/config.ini": "../.git/config", "dangling": "nothing", "bodywork.yaml": "gone",
    }  # fmt: skip
    for name, target in links.items():
        iris.link(name, target)
    iris.commit()
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, ".")
    wanted = Unread(texts=("serve/config.ini", "other/config.ini", *links))
    tree = git.extend(server.url("iris"), checkout.name, tree, wanted)
    assert tree.texts["serve/config.ini"] == b"[default]\n"
    assert tree.texts["other/config.ini"] == b"[default]\n"
    broken = {"bad/config.ini", "bad/requirements.txt", "bodywork.yaml", "odd/config.ini", "data", "dangling", "self"}
    assert set(tree.faults) == broken | {"other", "train/loop"}  # folders have no text
    assert "/etc/passwd" in tree.faults["bad/config.ini"]
    assert {line.split(":")[0] for line in tree.warnings} == broken
    assert not [text for text in tree.texts.values() if b"root:" in text]
    assert not [name for name in tree.files if name.startswith("data/")]


def test_further_texts_are_those_of_the_projects_own_files(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.link("linked.in", "train/train.py")
    iris.link("out.in", "/etc/passwd")
    iris.link("hidden", ".git")
    iris.commit({"base.in": "six\n", "other/deep/more.in": "pandas\n"})
    commit = published(git, volume, server.url("iris")).name
    asked = [
        "base.in",
        "linked.in",
        "out.in",
        "hidden/HEAD",
        ".git/HEAD",
        ".complete",
        "../volume",
        "gone",
        "train",
        "",
    ]
    url = server.url("iris")
    found = git.extend(url, commit, git.read(url, commit, "."), Unread(texts=tuple(asked)))
    assert found.texts == {"base.in": b"six\n", "linked.in": b"print(1)\n"}
    assert set(found.faults) == set(asked) - set(found.texts) | {"hidden"}
    below = git.extend(url, commit, git.read(url, commit, "other"), Unread(texts=("deep/more.in", "base.in")))
    assert below.texts == {"deep/more.in": b"pandas\n"}


def test_a_fingerprint_follows_names_modes_and_contents_and_nothing_else(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    def taken(*names: str) -> str:
        commit = published(git, volume, server.url("iris")).name
        return git.fingerprint(server.url("iris"), commit, ".", names)

    iris.link("out", "/etc")
    iris.commit({"lib/setup.py": "1", "lib/a/b.py": "2", "a.whl": "w"})
    first = taken("lib", "a.whl")
    assert first == taken("a.whl", "lib")
    iris.commit({"train/train.py": "print(2)\n"})
    assert taken("lib", "a.whl") == first
    seen = {first, taken("lib"), taken("a.whl"), taken("lib", "gone"), taken(".")}
    assert len(seen) == 4
    iris.commit({"lib/a/b.py": "3"})
    seen.add(taken("lib", "a.whl"))
    iris.git("mv", "lib/a/b.py", "lib/a/c.py")
    iris.commit()
    seen.add(taken("lib", "a.whl"))
    iris.git("update-index", "--chmod=+x", "a.whl")
    iris.git("commit", "--quiet", "--message", "mode")
    seen.add(taken("lib", "a.whl"))
    assert len(seen) == 7
    assert taken("out", "../..", "/etc") == taken()


def test_a_fingerprint_of_too_much_is_refused(server: GitServer, iris: Repository, volume: Path) -> None:
    for number in range(40):
        iris.link(f"lib/{number}", "../big")
    commit = iris.commit({"big": "x" * 100_000})
    git = Git(volume, replace(SETTINGS, max_bytes=3_000_000))
    git.publish(server.url("iris"), commit)
    reason, _ = refusal(lambda: git.fingerprint(server.url("iris"), commit, ".", ["lib"]))
    assert reason == "RepositoryTooLarge"


def test_many_links_to_folders_full_of_links_end_at_the_limit(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    for one in range(12):
        for other in range(12):
            iris.link(f"d{one}/l{other}", f"../d{other}")
    commit = iris.commit()
    git = Git(volume, replace(SETTINGS, max_files=1000))
    git.publish(server.url("iris"), commit)
    assert refusal(lambda: git.read(server.url("iris"), commit, "."))[0] == "RepositoryTooLarge"


def test_a_text_above_the_limit_is_a_problem_and_not_loaded(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.commit({"bodywork.ini": "x" * 1_900_000, "train/config.ini": b"\x00\xfe\xff"})
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, ".")
    tree = git.extend(server.url("iris"), checkout.name, tree, Unread(texts=("bodywork.ini", "train/config.ini")))
    assert "bodywork.ini" not in tree.texts
    assert "1.8 MiB" in tree.faults["bodywork.ini"]
    assert "bodywork.ini" in tree.files
    assert tree.texts["train/config.ini"] == b"\x00\xfe\xff"


def test_names_that_are_not_utf8_are_left_out_with_a_warning(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    (iris.folder / os.fsdecode(b"caf\xe9.py")).write_text("")
    (iris.folder / "new\nline.py").write_text("")
    iris.commit()
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, ".")
    assert [line for line in tree.warnings if line.startswith("caf\\xe9.py: ")]
    assert "new\nline.py" in tree.files


def test_a_root_file_that_would_pass_for_the_marker_is_refused(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.link(".complete", "/etc/passwd")
    iris.commit()
    reason, line = refusal(lambda: published(git, volume, server.url("iris")))
    assert reason == "RepositoryRefused"
    assert ".complete" in line


def test_reading_what_is_not_published_is_tried_again(server: GitServer, iris: Repository, git: Git) -> None:
    assert hitch(lambda: git.read(server.url("iris"), iris.git("rev-parse", "HEAD"), "."))[0] == "NotPublished"


def test_what_has_lost_its_mirror_is_published_again_by_those_with_credentials_before_it_is_read(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    url, commit = server.url("iris"), published(git, volume, server.url("iris")).name
    shutil.rmtree(volume / layout.mirror(url))
    assert hitch(lambda: git.read(url, commit, "."))[0] == "GitFailed"
    assert not git.published(url, commit)
    git.publish(url, commit)
    assert git.read(url, commit, ".").digest == iris.git("rev-parse", "HEAD^{tree}")


def test_a_volume_that_can_not_be_written_is_tried_again(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    (volume / "checkouts").write_text("in the way")
    assert hitch(lambda: published(git, volume, server.url(iris.folder.name)))[0] == "VolumeFailed"


def test_a_repository_that_another_pass_works_on_is_come_back_to(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    git, hasty = Git(volume, SETTINGS), Git(volume, replace(SETTINGS, wait=0.2))
    server.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(git.publish, url, commit)
        assert server.arrived.wait(30)
        with pytest.raises(NotYet):
            hasty.publish(url, commit)
        server.fault = ""
        server.released.set()
        assert isinstance(stuck.exception(timeout=60), Transient)


# --- when files last changed -------------------------------------------------------------------------


def commit_on(repository: Repository, day: str, **files: str) -> str:
    """Commit files on a day; `__` in their names is a slash, `_` a dot."""
    repository.write({name.replace("__", "/").replace("_", "."): text for name, text in files.items()})
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--allow-empty", "--message", "change")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    parents = [part for parent in repository.git("log", "-1", "--format=%P").split() for part in ("-p", parent)]
    dates = {"GIT_COMMITTER_DATE": f"{day}T23:30:00-0100", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z"}
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = subprocess.run(
        ["git", "-C", str(repository.folder), "commit-tree", tree, *parents, "-m", "change"],
        env={**os.environ, **CLEAN, **dates, **who},
        capture_output=True,
        text=True,
        check=True,
    )
    repository.git("reset", "--quiet", "--soft", made.stdout.strip())
    return made.stdout.strip()


def last_change(git: Git, url: str, commit: str, *files: str, path: str = ".") -> str:
    git.publish(url, commit)
    return git.last_change(url, commit, path, files, lambda texts: tuple(sorted(texts.items())))


def test_files_changed_on_the_day_of_the_last_commit_that_touched_them(git: Git, server: GitServer) -> None:
    repository = server.repository("dated")
    commit_on(repository, "2021-03-04", a__r_txt="six", b__r_txt="six")
    commit_on(repository, "2021-06-01", a__r_txt="flask")
    head = commit_on(repository, "2022-01-01", other="x")
    url = server.url("dated")
    assert last_change(git, url, head, "a/r.txt") == "2021-06-02"  # in UTC
    assert last_change(git, url, head, "b/r.txt") == "2021-03-05"
    assert last_change(git, url, head, "a/r.txt", "b/r.txt") == "2021-06-02"
    assert last_change(git, url, head, "r.txt", path="b") == "2021-03-05"


def test_a_commit_that_changes_no_requirement_is_passed_over(git: Git, server: GitServer) -> None:
    repository = server.repository("layout")
    commit_on(repository, "2021-03-04", r_txt="flask")
    commit_on(repository, "2021-05-04", r_txt="six")
    commit_on(repository, "2021-07-04", r_txt="six  ")
    head = commit_on(repository, "2021-08-04", r_txt="SIX")
    git.publish(server.url("layout"), head)
    day = git.last_change(server.url("layout"), head, ".", ["r.txt"], lambda texts: texts["r.txt"].strip().lower())
    assert day == "2021-05-05"


def test_the_history_of_a_commit_is_looked_at_once(server: GitServer, volume: Path) -> None:
    calls: list[str] = []
    git = Git(volume, SETTINGS, lambda operation, *_: calls.append(operation))
    repository = server.repository("busy")
    head = [commit_on(repository, f"2021-03-{day:02}", r_txt=f"six{' ' * day}") for day in range(1, 10)][-1]
    git.publish(server.url("busy"), head)
    meaning = Meaning("train")
    assert git.last_change(server.url("busy"), head, ".", ["r.txt"], meaning) == "2021-03-02"
    assert (calls.count("log"), calls.count("cat-file")) == (1, 9)
    assert git.last_change(server.url("busy"), head, ".", ["r.txt"], Meaning("train")) == "2021-03-02"
    assert (calls.count("log"), calls.count("cat-file")) == (1, 9)


def test_a_history_that_another_pass_looks_at_holds_no_worker(server: GitServer, volume: Path) -> None:
    git, met, url = Git(volume, replace(SETTINGS, wait=0)), list[BaseException | None](), server.url("shared")
    head = commit_on(server.repository("shared"), "2021-03-04", r_txt="six")
    git.publish(url, head)

    def look() -> str:
        return git.last_change(url, head, ".", ["r.txt"], meaning)

    def meaning(texts: Mapping[str, bytes]) -> str:
        if not met:
            met.append(pool.submit(look).exception(20))
        return repr(texts)

    with ThreadPoolExecutor(1) as pool:
        assert look() == "2021-03-05"
    busy, days = met[0], list[str]()
    assert isinstance(busy, Busy)
    busy.then(lambda: days.append(look()))
    assert days == ["2021-03-05"]


def test_a_merge_does_not_touch_what_it_brings(git: Git, server: GitServer) -> None:
    repository = server.repository("merged")
    commit_on(repository, "2021-01-01", r_txt="a", x="1")
    repository.git("checkout", "--quiet", "-b", "side")
    commit_on(repository, "2021-02-01", r_txt="b")
    repository.git("checkout", "--quiet", "-")
    commit_on(repository, "2021-03-01", x="2")
    repository.git("merge", "--quiet", "--no-ff", "side", "-m", "merge")
    head = repository.git("rev-parse", "HEAD")
    assert last_change(git, server.url("merged"), head, "r.txt") == "2021-02-02"


def test_what_is_not_committed_has_no_day_and_a_comment_there_keeps_the_old_one(volume: Path, tmp_path: Path) -> None:
    git = Git(volume, GitSettings(allow_file=True))
    repository = Repository(tmp_path / "work")
    repository.folder.mkdir()
    repository.git("init", "--quiet")
    commit_on(repository, "2021-01-01", r_txt="six", x="1")
    for files, day in (({"x": "2"}, "2021-01-02"), ({"r.txt": "six "}, "2021-01-02"), ({"r.txt": "flask"}, "")):
        repository.write(files)
        taken = git.snapshot(repository.folder)
        assert git.last_change(taken.repository, taken.commit, ".", ["r.txt"], lambda t: t["r.txt"].strip()) == day


def test_where_the_history_is_cut_off_the_day_of_the_commit_stands_in(volume: Path, tmp_path: Path) -> None:
    git = Git(volume, GitSettings(allow_file=True))
    repository = Repository(tmp_path / "work")
    repository.folder.mkdir()
    repository.git("init", "--quiet")
    commit_on(repository, "2021-01-01", r_txt="six")
    commit_on(repository, "2022-01-01", x="1")
    shallow = Repository(tmp_path / "shallow")
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(shallow.folder))
    taken = git.snapshot(shallow.folder)
    assert git.last_change(taken.repository, taken.commit, ".", ["r.txt"], repr) == "2022-01-02"


@pytest.mark.parametrize("name", [":(top)r.txt", "*.txt", "-r.txt", "--all", "r\n.txt"])
def test_names_of_files_are_taken_literally(git: Git, server: GitServer, name: str) -> None:
    repository = server.repository("hostile")
    repository.write({name: "six"})
    commit_on(repository, "2021-01-01", r_txt="six")
    head = commit_on(repository, "2022-01-01", r_txt="flask")
    assert last_change(git, server.url("hostile"), head, name) == "2021-01-02"


@pytest.mark.parametrize(
    "committer", ["", "committer Ada <ada@example.com>\n", f"committer A <a> {'9' * 5000} +0000\n"]
)
def test_a_commit_that_says_no_time_has_no_day_and_is_no_damage(
    git: Git, server: GitServer, volume: Path, committer: str
) -> None:
    repository = server.repository("timeless")
    commit_on(repository, "2021-01-01", r_txt="six")
    text = f"tree {repository.git('rev-parse', 'HEAD^{tree}')}\nauthor Ada <ada@example.com> 1 +0000\n{committer}\nx\n"
    head = repository.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=text)
    repository.git("update-ref", "HEAD", head)
    git.publish(server.url("timeless"), head)
    (volume / layout.mirror(server.url("timeless")) / "as-before").touch()
    assert last_change(git, server.url("timeless"), head, "r.txt") == ""
    assert (volume / layout.mirror(server.url("timeless")) / "as-before").exists()
