"""What a stage's environment is made of: normal form, files, Git addresses, problems, and the key."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.errors import Invalid
from controller.core.inputs.requirements import Requirements, Unknown, git_address, key, lines, of_stage
from controller.core.model import Batch, Stage

FILE = "train/requirements.txt"


def found_in(text: str, script: str = "train.py", **others: str) -> Requirements | Unknown | None:
    """Return what is found in a requirement file, next to other files (`__` is a slash) that are all known."""
    files = {FILE: text, **{name.replace("__", "/"): content for name, content in others.items()}}
    stage = Stage("train", "train", script, Batch(), requirements_file=FILE, requirements=lines(text))
    return of_stage(stage, frozenset(files), {name: content.encode() for name, content in files.items()})


def of(text: str, **others: str) -> Requirements:
    """Return what is found where there is something."""
    found = found_in(text, **others)
    assert isinstance(found, Requirements)
    return found


def places(found: Requirements) -> tuple[str, ...]:
    return tuple(one.place for one in found.entries)


def problems_of(text: str, **others: str) -> tuple[str, ...]:
    """Return the problems of a requirement file."""
    with pytest.raises(Invalid) as caught:
        found_in(text, **others)
    assert caught.value.reason == "InvalidProject"
    return caught.value.problems


def key_of(found: Requirements, **others: str) -> str:
    """Return a key with everything else equal."""
    values = {"image": "python", "paths": "p", "index": "", "as_of": "", **others}
    return key(found, commits={}, **values)


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
        ("Scikit_Learn == 1.4", "scikit-learn==1.4"),
        ("requests [ Socks,security ] >= 2 , < 3", "requests[security,socks]<3,>=2"),
        ("six (>=1)", "six>=1"),
        ("six ;python_version>'3'", 'six ; python_version > "3"'),
        ("six; python_version > \"3\" and os_name=='posix'", 'six ; python_version > "3" and os_name == "posix"'),
        ("six==1 --hash=sha256:bb --hash sha256:aa", "six==1 --hash=sha256:aa --hash=sha256:bb"),
        ("six==1 \\\n    --hash=sha256:aa", "six==1 --hash=sha256:aa"),
        ("Six  @  https://host/six.whl", "six @ https://host/six.whl"),
        ("https://host/six-1.0-py3-none-any.whl#sha256=aa", "https://host/six-1.0-py3-none-any.whl#sha256=aa"),
        ("-i https://host/simple", "--index-url https://host/simple"),
        ("--pypi-url=https://host/simple", "--index-url https://host/simple"),
        ("--only-binary=:all:", "--only-binary :all:"),
        ("numpy>=1.26, ; os_name == 'nt'", "numpy>=1.26, ; os_name == 'nt'"),
        ("Calendar == 2!1.0", "Calendar == 2!1.0"),
        ("six;", "six"),
        ("Name @ git+https://host/r@v1 ; os_name=='nt'", 'name @ git+https://host/r@v1 ; os_name == "nt"'),
        ("git+https://host/r.git@v1#egg=Name[x]&subdirectory=s", "name[x] @ git+https://host/r.git@v1#subdirectory=s"),
        ("-e git+https://host/r#egg=name", "name @ git+https://host/r"),
        ("-c https://host/limits.txt", "--constraint https://host/limits.txt"),
    ],
)
def test_a_line_has_one_normal_form(line: str, expected: str) -> None:
    last = "zz==1 --hash=sha256:00" if "--hash" in line else "zz"
    assert of(f"{line}\n{last}").lines == (expected, last)
    assert of(f"{expected}\n{last}").lines == (expected, last)


def test_several_options_of_a_line_and_names_of_a_list_stand_alone() -> None:
    found = of("--no-index --find-links=wheels\n--no-binary Six,tomli\nsix", train__wheels__a="")
    assert found.lines == ("--no-index", "--find-links ./train/wheels", "--no-binary six", "--no-binary tomli", "six")
    assert found.paths == ("train/wheels",)


@pytest.mark.parametrize(
    ("line", "expected", "path"),
    [
        ("./lib", "./train/lib", "train/lib"),
        ("lib/", "./train/lib", "train/lib"),
        ("-e lib", "./train/lib", "train/lib"),
        ("-e lib[Extra] ; os_name=='nt'", './train/lib[extra] ; os_name == "nt"', "train/lib"),
        ("-e ./lib[Extra]", "./train/lib[extra]", "train/lib"),
        ("--editable=./lib", "./train/lib", "train/lib"),
        ('-e "./lib"', "./train/lib", "train/lib"),
        ("./lib ; python_version>'3'", './train/lib ; python_version > "3"', "train/lib"),
        ("Lib @ file:./lib", "lib @ ./train/lib", "train/lib"),
        ("./lib#egg=lib", "lib @ ./train/lib", "train/lib"),
        ("a-1.0-py3-none-any.whl", "./train/a-1.0-py3-none-any.whl", "train/a-1.0-py3-none-any.whl"),
        ("./x/../lib", "./train/lib", "train/lib"),
        ("./lib#1", "./train/lib#1", "train/lib#1"),
        ("-e lib#1#egg=Lib", "lib @ ./train/lib#1", "train/lib#1"),
        ("lib @ file:./lib%231", "lib @ ./train/lib#1", "train/lib#1"),
        ("..", "./", "."),
        ("../other", "./other", "other"),
    ],
)
def test_local_packages_are_relative_to_the_project(line: str, expected: str, path: str) -> None:
    others = {
        "train__lib__setup.py": "",
        "train__lib#1__setup.py": "",
        "train__a-1.0-py3-none-any.whl": "",
        "setup.py": "",
        "other__pyproject.toml": "",
    }
    found = of(line, **others)
    assert (found.lines, found.paths) == ((expected,), (path,))


def test_packages_start_from_the_root_where_all_of_them_exist_only_there() -> None:
    text = "./lib\n-e .\n-r ../common.txt"
    found = of(text, **{"setup.py": "", "lib__setup.py": "", "common.txt": "./more", "more__setup.py": ""})
    assert found.lines == ("./lib", "./", "./more")


def test_files_are_followed_from_where_they_stand() -> None:
    others = {"deps__base.txt": "-rmore.txt\nflask", "deps__more.txt": "six", "limits.txt": "-r deps/more.txt\nclick<8"}
    found = of("-r ../deps/base.txt\npandas\n-c ../limits.txt", **others)
    assert found.lines == ("six", "flask", "pandas")
    assert found.constraints == ("six", "click<8")
    assert places(found) == ("deps/more.txt:1", "deps/base.txt:2", f"{FILE}:2", "deps/more.txt:1", "limits.txt:2")


def test_a_file_that_includes_itself_is_read_once() -> None:
    assert of("six\n-r ../b.txt", **{"b.txt": f"-r {FILE}\n-r b.txt\ntomli"}).lines == ("six", "tomli")


def test_texts_that_are_not_known_yet_are_asked_for() -> None:
    stage = Stage("train", "train", "train.py", Batch(), requirements_file=FILE)
    files = {FILE, "base.in", "more.in"}
    assert of_stage(stage, files, {}) == Unknown((FILE,))
    known = {FILE: b"-r ../base.in\n-c ../more.in"}
    assert of_stage(stage, files, known) == Unknown(("base.in", "more.in"))
    found = of_stage(stage, files, {**known, "base.in": b"six", "more.in": b""})
    assert isinstance(found, Requirements)
    assert found.lines == ("six",)


@pytest.mark.parametrize("text", ["", "# six\n", "-c ../c.txt", "--no-index\n", "-r ../c.txt"])
def test_where_no_package_is_named_nothing_is_needed(text: str) -> None:
    assert found_in(text, **{"c.txt": "# none"}) is None


def test_a_stage_without_requirements_wants_nothing() -> None:
    assert of_stage(Stage("train", "train", "train.py", Batch()), frozenset(), {}) is None


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("# none", ("nbclient", "ipykernel", "nbconvert")),
        ("numpy\nnbconvert==7.1\nIPyKernel\n", ("nbclient",)),
        ("-c more.txt\nipykernel; python_version < '3'", ("nbclient", "ipykernel", "nbconvert")),
        ("-r more.txt", ("nbclient", "nbconvert")),
    ],
)
def test_a_notebook_also_requires_what_runs_it(text: str, added: tuple[str, ...]) -> None:
    found, own = (found_in(text, script=f"train.{end}", **{"train__more.txt": "ipykernel"}) for end in ("ipynb", "py"))
    assert isinstance(found, Requirements)
    assert found.lines == (*(own.lines if isinstance(own, Requirements) else ()), *added)
    assert found.file == (FILE if own else "train/train.ipynb")
    assert f"train/train.ipynb, which needs {added[0]}" in places(found)


def test_what_runs_a_notebook_has_a_hash_where_all_have_one() -> None:
    with pytest.raises(Invalid) as refused:
        found_in(f"numpy==1.0 --hash=sha256:{'0' * 64}", script="train.ipynb")
    assert len(refused.value.problems) == 3
    assert refused.value.problems[0].startswith("train/train.ipynb, which needs nbclient: has no --hash and no pin")


def test_requirements_in_bodywork_yaml_stand_at_the_root() -> None:
    stage = Stage("train", "train", "train.py", Batch(), requirements=("-r base.txt", "./lib"))
    found = of_stage(stage, {"base.txt", "train/lib/setup.py"}, {"base.txt": b"six"})
    assert isinstance(found, Requirements)
    assert (found.file, found.lines) == ("bodywork.yaml: stages.train.requirements", ("six", "./train/lib"))
    assert places(found) == ("base.txt:1", "bodywork.yaml: stages.train.requirements")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("pandas=1.2", 'expected a version like ==2.2.3 after pandas, got "=1.2": write pandas==1.2'),
        ("scikit-learn = 0.24.2", 'after scikit-learn, got "= 0.24.2": write scikit-learn==0.24.2'),
        ("numpy=1.19.2=py38h54aff64_0", 'got "=1.19.2=py38h54aff64_0": write numpy==1.19.2'),
        ("numpy>=1,=>2", 'got "=>2": write numpy>=2'),
        ("numpy==", '"numpy==" has no version after ==: write one, or only numpy'),
        ("numpy>=1,<", '"numpy>=1,<" has no version after <: write one, or only numpy'),
        ("numpy==latest", 'expected a version like ==2.2.3 after numpy, got "==latest"'),
        ("numpy>=1.*", 'expected a version like ==2.2.3 after numpy, got ">=1.*"'),
        ("numpy 1.2", 'expected a requirement like pandas==2.2.3, got "numpy 1.2": write numpy==1.2'),
        ("this is wrong", 'expected a requirement like pandas==2.2.3, got "this is wrong"'),
        ("numpy[a b]", 'expected a requirement like pandas==2.2.3, got "numpy[a b]"'),
        ("nümpy", 'expected a requirement like pandas==2.2.3, got "nümpy"'),
        ("pip install numpy", '"pip install numpy" is a command: write only numpy'),
        ("pip install --upgrade -q numpy", '"pip install --upgrade -q numpy" is a command: write only numpy'),
        ("!python -m pip install numpy==2", '"!python -m pip install numpy==2" is a command: write only numpy==2'),
        (
            "numpy; python_version > 3",
            'expected a marker like python_version < "3.9" after the ;, got "python_version > 3"',
        ),
        ("lib @ https://h/lib.zip ; nonsense", 'after the ;, got "nonsense"'),
        ("git@host:a/r.git", "is an address for `git clone`: write git+ssh://git@host/a/r.git"),
        ("r @ git@host:a/r", "is an address for `git clone`: write git+ssh://git@host/a/r"),
        ("six==1 --hash", 'expected a hash like sha256:9f2c..., got ""'),
        (
            "six==1 --hash='sha256:aa -r /etc/passwd'",
            'expected a hash like sha256:9f2c..., got "sha256:aa -r /etc/passwd"',
        ),
        ("-i 'https://h/ -r /etc/passwd'", 'the value of --index-url holds a space: "https://h/ -r /etc/passwd"'),
        ("--no-binary 'a -r x'", 'the value of --no-binary holds a space: "a -r x"'),
        ("--trusted-host 'h --pre'", 'the value of --trusted-host holds a space: "h --pre"'),
        ("six==" + "9" * 5000 + "x", "expected a version like ==2.2.3 after six, got"),
        ("six; " + "(" * 3000 + "os_name == 'x'" + ")" * 3000, "expected a marker like"),
    ],
)
def test_a_malformed_line_is_refused_with_its_remedy(line: str, problem: str) -> None:
    (refused,) = problems_of(f"six\n{line}")
    assert refused.startswith(f"{FILE}:2: ")
    assert refused.endswith(problem) or problem.endswith((" got", " like"))


CONDA = "is where conda built the package, on another machine: "
OUTSIDE = "is outside the project: "
PAGE = "is a page for a browser, not a repository: write "
HUB = "https://github.com"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("-r ../../x.txt", '"../../x.txt" is outside the project: copy it into the project'),
        ("-r /etc/x.txt", '"/etc/x.txt" is outside the project: copy it into the project'),
        ("/opt/lib", '"/opt/lib" is outside the project: copy it into the project'),
        ("lib @ file:///opt/lib", '"/opt/lib" is outside the project: copy it into the project'),
        ("--find-links ../../wheels", '"../../wheels" is outside the project: copy it into the project'),
        ("--index-url file:///srv/simple", '"/srv/simple" is outside the project: copy it into the project'),
        ("lib @ file:///opt/lib", '"/opt/lib" is outside the project: copy it into the project, or write lib==VERSION'),
        ("certifi @ file:///croot/certifi_1690232220950/work/certifi", f"{CONDA}write certifi==VERSION (`pip list"),
        ("Attrs @ file:///home/conda/feedstock_root/build_artifacts/attrs_16/work", f"{CONDA}write attrs==VERSION (`"),
        ("a @ file:///opt/conda/conda-bld/a_1699999999999/work", f"{CONDA}write a==VERSION (`pip list"),
        ("a @ file:///C:/ci/a_1636458046325/work/dist/a.whl", f"{CONDA}write a==VERSION (`pip list"),
        (
            "a @ file:///tmp/build/80754af9/a_1604765588209/work ; os_name == 'nt'",
            f"{CONDA}write a==VERSION (`pip list",
        ),
        ("-e file:///work/ci_py311/a_1676822698822/work", f"{CONDA}write NAME==VERSION (`pip list"),
        ("-e file:///home/me/lib", '"/home/me/lib" is outside the project: copy it into the project'),
        ("C:\\wheels\\a-1.0-py3-none-any.whl", f"{OUTSIDE}copy it into the project"),
        ("a @ file:///C:/Users/me/a.whl", f"{OUTSIDE}copy it into the project, or write a==VERSION"),
        ("wheels\\a.whl", 'file "train/wheels\\a.whl" not found: write / instead of \\'),
        (f"git+{HUB}/a/b/tree/main/lib", f"{PAGE}git+{HUB}/a/b@main#subdirectory=lib"),
        (f"x @ git+{HUB}/a/b/tree/main/lib/x#egg=x", f"{PAGE}git+{HUB}/a/b@main#subdirectory=lib/x"),
        (f"git+{HUB}/a/b/tree/v1/", f"{PAGE}git+{HUB}/a/b@v1"),
        (f"git+{HUB}/a/b/tree/main/lib@v2", f"{PAGE}git+{HUB}/a/b@v2#subdirectory=lib"),
        (f"-e git+{HUB}/a/b/blob/main/lib/setup.py", f"{PAGE}git+{HUB}/a/b@main#subdirectory=lib"),
        (f"git+{HUB}/a/b/commit/0123abc", f"{PAGE}git+{HUB}/a/b@0123abc"),
        (f"git+{HUB}/a/b/releases/tag/v1", f"{PAGE}git+{HUB}/a/b@v1"),
        (f"git+{HUB}/a/b.git/lib", f"{PAGE}git+{HUB}/a/b.git#subdirectory=lib"),
        ("git+https://git.corp/g/h/b.git/lib@v1", f"{PAGE}git+https://git.corp/g/h/b.git@v1#subdirectory=lib"),
        ("git+ssh://git@git.corp/b.git/lib", f"{PAGE}git+ssh://git@git.corp/b.git#subdirectory=lib"),
        ("git+https://git.corp/g/h/b/-/tree/main/lib", f"{PAGE}git+https://git.corp/g/h/b@main#subdirectory=lib"),
        ("git+https://bitbucket.org/a/b/src/main/lib", f"{PAGE}git+https://bitbucket.org/a/b@main#subdirectory=lib"),
        (f"{HUB}/a/b", f"is a repository, not an archive: write git+{HUB}/a/b"),
        (f"b @ {HUB}/a/b.git", f"is a repository, not an archive: write git+{HUB}/a/b.git"),
        (f"{HUB}/a/b/tree/main/lib", f"{PAGE}git+{HUB}/a/b@main#subdirectory=lib"),
        ("git+https://codeberg.org/a/b/src/branch/main/", f"{PAGE}git+https://codeberg.org/a/b@main"),
        ("-r gone.txt", 'file "train/gone.txt" not found'),
        ("./gone", 'file "train/gone" not found'),
        ("./bare", 'the folder "train/bare" has neither pyproject.toml nor setup.py: it can\'t be installed'),
        ("./bare/x", '"train/bare/x" is not a package: expected a folder or one of .whl, .zip'),
        ("--foo", 'unknown option "--foo": choose from'),
        ("--indx-url x", 'unknown option "--indx-url": did you mean --index-url?'),
        ("--index-url", "--index-url has no value: write one after it"),
        ("six --config-settings x=y", 'option "--config-settings" after a package is not supported: remove it'),
        ("six \\ # why", "ends in a backslash that continues nothing: remove it"),
        ("-e six", 'file "train/six" not found'),
        ('-r "x', "has a quote that is not closed: close it, or remove it"),
        ("git+https://user:pw@host/r", "holds credentials: remove them, and give them by the request's git-secret"),
        ("git+https://${TOKEN}@host/r", "holds credentials: remove them, and give them by the request's git-secret"),
        ("x @ git+ssh://git:pw@host/r", "holds credentials: remove them, and give them by the request's git-secret"),
        ("-i https://u:p@host/simple", "holds credentials: remove them, and give them by the request's index-secret"),
        ("https://u:p@host/a.whl", "holds credentials: remove them, and give them by the request's index-secret"),
        ("git+file:///srv/r", "unsupported Git transport: write git+https://HOST/PATH"),
        ("git+git://host/r", "unsupported Git transport: write git+https://HOST/PATH"),
        ("git+git@host:a/r", "unsupported Git transport: write git+https://HOST/PATH"),
        ("git+https://host/r@", "ends in an @ with no branch, tag or commit after it"),
        ("hg+https://host/r", "is neither Git nor an archive"),
        ("git+https://host:port/r", "malformed address: check its host and port"),
    ],
)
def test_what_can_not_be_is_reported_with_file_and_line(line: str, problem: str) -> None:
    (reported,) = problems_of(f"six\n{line}", train__bare__x="")
    assert reported.startswith(f"{FILE}:2: ")
    assert problem in reported
    assert reported.endswith(problem) or PAGE not in problem
    assert "pw" not in reported
    assert "u:p" not in reported


HASH = "--hash=sha256:" + "0" * 64
ALL_OR_NONE = ", and {} makes hashes required of all, as in pip: `pip-compile --generate-hashes` writes them all"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("flask==3.0.0", "has no --hash"),
        ("flask", "has no --hash and no pin with =="),
        (f"flask>=3 {HASH}", "is not pinned with =="),
        (f"flask==3.* {HASH}", "is not pinned with =="),
        ("https://host/flask-3.0.0.tar.gz", "has no --hash"),
        ("flask @ https://host/flask-3.0.0.tar.gz#egg=flask", "has no --hash"),
        ("./lib", "a folder can't have a hash"),
        ("-e ./lib", "a folder can't have a hash"),
        ("./a-1.0-py3-none-any.whl", "has no --hash"),
        ("flask @ git+https://host/flask@v3", "a Git repository can't have a hash"),
    ],
)
@pytest.mark.parametrize("first", [f"six==1.16.0 {HASH}", "--require-hashes"])
def test_one_hash_makes_all_required_as_in_pip(line: str, problem: str, first: str) -> None:
    others = {"train__lib__setup.py": "", "train__a-1.0-py3-none-any.whl": "", "base.txt": f"# all\n{first}\n"}
    (reported,) = problems_of(f"{line}\n-r ../base.txt", **others)
    place = f"{FILE}:1" if HASH in line else "base.txt:2"
    assert reported.startswith(f"{FILE}:1: {problem}{ALL_OR_NONE.format(place)}")


def test_all_lines_without_a_hash_are_reported_at_once() -> None:
    reported = problems_of(f"a==1\n-r ../more.txt\nb==2 {HASH}", **{"more.txt": "c==3\n\nd==4"})
    assert [line.split(": ")[0] for line in reported] == [f"{FILE}:1", "more.txt:1", "more.txt:3"]


@pytest.mark.parametrize(
    "line",
    [
        f"flask==3.0.0 {HASH}",
        f"flask===3.0.0 {HASH}",
        f"Flask[async] == 3.0.0 {HASH}",
        f"https://host/flask-3.0.0.tar.gz {HASH}",
        "flask @ https://host/flask-3.0.0.tar.gz#sha256=00",
        "https://host/flask-3.0.0.tar.gz#egg=flask&sha256=00",
        "flask==3.0.0 ; python_version < '3'",  # which the installer knows
        f"flask==3.0.0\n-c ../limits.txt\n--pre\n{HASH.replace('--hash', 'x==1 --hash')}",
    ],
)
def test_what_is_verified_by_its_hash_is_fine(line: str) -> None:
    limits = {"limits.txt": f"flask==3.0.0 {HASH}\nclick==8\n"}
    assert of(f"six==1.16.0 {HASH}\n{line}", **limits).lines[0].startswith("six==1.16.0 --hash")


@pytest.mark.parametrize(
    "address",
    [
        *("https://git.corp/srv/tree/main", "https://git.corp/a/b.git", "https://git.corp/a/b.git/", f"{HUB}/a/tree"),
        *("https://git.corp/a.git/b.git", f"{HUB}/tree/main", f"{HUB}/a/b.git@tree/main/lib", "ssh://git@h/x/blob/y"),
    ],
)
def test_what_may_be_a_repository_is_not_taken_for_a_page_of_a_browser(address: str) -> None:
    assert of(f"git+{address}").addresses == (f"git+{address}",)


@pytest.mark.parametrize(
    "path", ["/a/b/raw/main/x-1.whl", "/a/b/archive/refs/heads/main.zip", "/a/b/releases/download/v1/x-1.tar.gz"]
)
def test_an_archive_of_a_code_host_is_an_archive(path: str) -> None:
    assert of(f"{HUB}{path}").lines == (f"{HUB}{path}",)


def test_what_is_not_text_is_read_as_pip_reads_it() -> None:
    text = "# Größe\nflask==3.0.0  # ü\n"
    stage = Stage("train", "train", "train.py", Batch(), requirements_file=FILE)
    marked = [text.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32")]
    marked += [b"\xff\xfe" + text.encode("utf-16-le"), b"\xfe\xff" + text.encode("utf-16-be")]
    named = [f"# -*- coding: {name} -*-\n{text}".encode(name) for name in ("latin-1", "cp1252", "utf-8", "iso8859-15")]
    second = [f"\n# vim: set fileencoding=cp1250 :\n{text}".replace("\n", "#\n", 1).encode("cp1250")]
    for content in (*marked, *named, *second):
        found = of_stage(stage, {FILE}, {FILE: content})
        assert isinstance(found, Requirements)
        assert found.lines == ("flask==3.0.0",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"# coding: klingon\nsix", "names the unknown encoding klingon: save it as UTF-8"),
        (b"# coding: rot13\nfvk", "names the unknown encoding rot13: save it as UTF-8"),
        (b"# coding: unicode_escape\nsix", "names the unknown encoding unicode_escape"),
        (b"# coding: ascii\n# \xe4\nsix", "is not text (byte 18 is not ASCII): save it as UTF-8"),
        (b"\xff\xfesix", "is not text (byte 4 is not UTF-16-LE): save it as UTF-8"),
        (b"# \xe4\nsix", "is not text (byte 2 is not UTF-8): save it as UTF-8, or name its encoding in line 1"),
        (b"#\n#\n# coding: latin-1 \xe4\nsix", "is not text (byte 22 is not UTF-8)"),
        (b"s\0i\0x\0", "is not text (it holds NUL bytes)"),
    ],
)
def test_what_pip_can_t_decode_is_reported(content: bytes, problem: str) -> None:
    stage = Stage("train", "train", "train.py", Batch(), requirements_file=FILE)
    with pytest.raises(Invalid) as caught:
        of_stage(stage, {FILE}, {FILE: content})
    assert caught.value.problems[0].startswith(f"{FILE}: {problem}")


def test_all_problems_of_all_files_are_reported_together() -> None:
    reported = problems_of("--foo\n-r ../more.txt\n./gone\n", **{"more.txt": "\n/abs"})
    assert [line.split(": ")[0] for line in reported] == [f"{FILE}:1", "more.txt:2", f"{FILE}:3"]


def test_what_is_not_text_is_reported() -> None:
    stage = Stage("train", "train", "train.py", Batch(), requirements_file=FILE)
    with pytest.raises(Invalid, match="is not UTF-8"):
        of_stage(stage, {FILE}, {FILE: b"\xff"})


def test_too_much_is_reported() -> None:
    chain = {f"{number}.txt": f"-r {number + 1}.txt" for number in range(30)} | {"30.txt": "six"}
    assert "more than 20 files deep" in problems_of("-r ../0.txt", **chain)[0]
    assert "more than 20000 lines" in problems_of("a\n" * 20_001)[0]
    assert "characters long" in problems_of("a" * 100_000)[0]
    parts = {f"{number}.txt": f"{'a' * 60_000}\n" * 8 for number in range(5)}
    (problem,) = problems_of("".join(f"-r ../{name}\n" for name in parts), **parts)
    assert problem == "4.txt:3: more than 2 MiB of requirements: make them fewer"


@pytest.mark.parametrize(
    ("address", "repository", "ref"),
    [
        ("git+https://host/r", "https://host/r", ""),
        ("git+https://host/a/r.git@v1.0", "https://host/a/r.git", "v1.0"),
        ("git+http://host:8080/r@feature/x", "http://host:8080/r", "feature/x"),
        ("git+https://host/a@b/r@main", "https://host/a@b/r", "main"),
    ],
)
def test_a_git_address_is_cut_at_its_last_at_sign(address: str, repository: str, ref: str) -> None:
    assert git_address(address) == (repository, ref)


def test_git_addresses_are_given_as_written() -> None:
    text = "a @ git+https://h/a@v1\n-e git+https://h/b.git#egg=b&subdirectory=s\ngit+https://h/a@v1#subdirectory=t"
    assert of(text).addresses == ("git+https://h/a@v1", "git+https://h/b.git")


# --- the key --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "# why\nPandas==2.2\n\nsix>=1,<2 ; python_version > '3'\n",
        'pandas == 2.2 # pinned\r\nsix <2,>=1;python_version>"3"',
        "\ufeffpandas \\\n  ==2.2\nsix\\\n>=1,<2 ; python_version>'3'",
        "-r ../same.txt\n",
    ],
)
def test_texts_that_mean_the_same_have_one_key(text: str) -> None:
    plain = "pandas==2.2\nsix<2,>=1 ; python_version > '3'"
    assert key_of(of(text, **{"same.txt": plain})) == key_of(of(plain))


@pytest.mark.parametrize(
    "text", ["six==1.1", "six==1 ; os_name=='nt'", "six==1 --hash=sha256:a", "six[x]==1", "sixx==1"]
)
def test_another_version_marker_hash_or_extra_has_another_key(text: str) -> None:
    assert key_of(of(text)) != key_of(of("six==1"))


def test_everything_else_that_matters_changes_the_key() -> None:
    found, local = of("six==1"), of("./lib", train__lib__setup="", **{"train__lib__setup.py": ""})
    keys = {key_of(found), *(key_of(found, **{name: "other"}) for name in ("image", "index", "as_of"))}
    keys |= {key(found, image="python", paths="p", commits={"git+https://h/r": c}, index="", as_of="") for c in "ab"}
    assert len(keys) == 6
    assert key_of(local) != key_of(local, paths="other")
    assert key_of(found) == key_of(found, paths="other")
    assert re.fullmatch("[0-9a-f]{20}", key_of(found))


PIECES = [
    *"-rcei.@[]=# \
/a;:'\"(){}<>,$~!",
    "git+",
    "://",
    "file:",
    "--hash",
    " @ ",
    "\0",
    "setup.py",
    "./",
]
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@settings(deadline=None)
@given(HOSTILE)
def test_any_text_gives_a_normal_form_or_problems(text: str) -> None:
    try:
        found = found_in(text, **{"setup.py": "", "train__a": "", "train__r.txt": ""})
    except Invalid:
        return
    if isinstance(found, Requirements):
        again = "\n".join(found.lines)
        stage = Stage("all", ".", "all.py", Batch(), requirements_file="all.txt")
        files = {"all.txt", "setup.py", "train/a", "train/r.txt"}
        twice = of_stage(stage, files, dict.fromkeys(files, b"") | {"all.txt": again.encode()})
        assert isinstance(twice, Requirements)
        assert twice.lines == found.lines


NAMES = st.sampled_from(["pandas", "scikit-learn", "ruamel.yaml"])
VERSIONS = st.sampled_from(["", "==1.0", ">=1,<2", "~=3.1"])
MARKERS = st.sampled_from(["", ' ; python_version > "3.8"', " ; os_name == 'posix' and extra == 'x'"])


@given(st.lists(st.tuples(NAMES, VERSIONS, MARKERS), min_size=1, max_size=5), st.data())
def test_layout_does_not_change_the_key(parts: list[tuple[str, str, str]], data: st.DataObject) -> None:
    styles = st.sampled_from(["{0}{1}{2}", "  {0}{1}{2}  # note", "{3}{1}{2}", "{0} \\\n {1}{2}", "# x\n\n{4}{1}{2}"])
    text = "\n".join(
        data.draw(styles).format(*part, part[0].title(), part[0].replace("-", "_").upper()) for part in parts
    )
    assert key_of(of(text)) == key_of(of("\n".join("".join(part) for part in parts)))


@pytest.mark.parametrize(
    "line", ["[", "a ", "a-.", "a;'", "./[", "-e ", "a[", "-'", "a>=1,", "a @ /", "a --hash", "pip install -a "]
)
def test_hostile_lines_are_looked_at_quickly(line: str) -> None:
    with contextlib.suppress(Invalid):
        found_in(line[0] + line[1:] * 20_000 if len(line) > 1 else line * 60_000)


@pytest.mark.parametrize("part", ["#", "#md5", "/", "/-/tree", ".git/", "/tree/a", "_1/work", "conda/", "&sha1="])
@pytest.mark.parametrize("start", ["https://github.com/a/", "git+https://github.com/a/b", "a @ file:///", "./", ""])
def test_hostile_addresses_are_looked_at_quickly(start: str, part: str) -> None:
    with contextlib.suppress(Invalid):
        found_in(f"six==1 {HASH}\n{start}{part * (60_000 // len(part))}")
    with contextlib.suppress(Invalid):
        found_in(f"six==1 {HASH}\n{start}{part * (2_000 // len(part))}")
