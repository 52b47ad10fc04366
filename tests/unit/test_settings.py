"""Settings as a platform engineer meets them: one value, or every problem at once."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.app.pod import git_settings
from controller.core.errors import Invalid
from controller.core.model import IngressPolicy
from controller.settings import PREFIX, Settings, load, policy

NEEDED = {"COACHWORK_NAMESPACE": "ml", "COACHWORK_IMAGE": "coachwork:dev"}
SETTING_NAMES = sorted(PREFIX + option.name.upper() for option in fields(Settings))


def problems(environ: dict[str, str], **flags: object) -> tuple[str, ...]:
    with pytest.raises(Invalid) as raised:
        load(environ, flags)
    assert raised.value.reason == "InvalidSettings"
    return raised.value.problems


@contextmanager
def one_line_problems() -> Iterator[None]:
    try:
        yield
    except Invalid as error:
        if not error.problems or any("\n" in problem or len(problem) > 1200 for problem in error.problems):
            pytest.fail(repr(error.problems))
        raise


def test_namespace_and_image_are_all_that_must_be_said() -> None:
    settings = load(NEEDED, {})
    assert (settings.namespace, settings.image) == ("ml", "coachwork:dev")
    assert (settings.volume, settings.claim, settings.port) == (PurePosixPath("/var/lib/coachwork"), "coachwork", 8080)
    assert not settings.allow_file_repositories


def test_what_must_be_said_and_is_not_is_named() -> None:
    assert problems({}) == (
        "COACHWORK_NAMESPACE: missing: write the namespace of requests and workloads",
        "COACHWORK_IMAGE: missing: write an image like python:3.12-slim",
    )


def test_a_flag_wins_over_its_variable() -> None:
    environ = NEEDED | {"COACHWORK_WORKERS": "2", "COACHWORK_ALLOW_FILE_REPOSITORIES": "false"}
    settings = load(environ, {"workers": 8, "allow_file_repositories": True, "port": None})
    assert (settings.workers, settings.allow_file_repositories, settings.port) == (8, True, 8080)


def test_a_flag_hides_a_bad_variable() -> None:
    assert load(NEEDED | {"COACHWORK_WORKERS": "many"}, {"workers": 3}).workers == 3


def test_calls_have_a_port_of_their_own() -> None:
    same = {"COACHWORK_WAKE_PORT": "8080"}
    assert load(NEEDED | same, {}).wake == ""  # none is listened on
    assert load(NEEDED, {"wake": "coachwork:81", "port": 0, "wake_port": 0}).wake_port == 0
    assert problems(NEEDED | same, wake="coachwork:81") == (
        "COACHWORK_WAKE_PORT: 8080 is the port of the pages too: set another",
    )


def test_an_empty_variable_is_as_if_it_were_not_set() -> None:
    assert load(NEEDED | {"COACHWORK_NODE": "", "COACHWORK_WORKERS": ""}, {}).workers == 8


def test_every_problem_comes_at_once_each_with_what_would_be_right() -> None:
    environ = NEEDED | {
        "COACHWORK_WORKERS": "two",
        "COACHWORK_VOLUME": "data",
        "COACHWORK_IMAGE_PULL_POLICY": "sometimes",
        "COACHWORK_LOG_CAP": "64MB",
        "COACHWORK_START_GRACE": "soon",
        "COACHWORK_CONTEXT": "kind",
    }
    assert problems(environ, port=99999) == (
        'COACHWORK_VOLUME: expected an absolute path like /var/lib/coachwork, got "data"',
        'COACHWORK_IMAGE_PULL_POLICY: expected IfNotPresent, Always or Never, got "sometimes"',
        'COACHWORK_WORKERS: expected a whole number from 1 to 64, got "two"',
        '--port: expected a whole number from 0 to 65535, got "99999"',
        'COACHWORK_START_GRACE: expected a duration like 30s, 5m, 2h or 1h30m from 0 to 24h, got "soon"',
        'COACHWORK_LOG_CAP: expected a size like 512Ki, 64Mi or 2Gi from 1Ki to 1Ti, got "64MB"',
        "COACHWORK_CONTEXT: names a context, but no kubeconfig is set: set COACHWORK_KUBECONFIG too",
    )


@pytest.mark.parametrize(
    "name", ["RUN", "STAGE", "URL_SERVE", "PATH_SERVE", "SERVICE_HOST", "PORT_80_TCP", "ARTIFACTS", "PREVIOUS"]
)
def test_variables_of_stages_and_service_links_are_left_alone(name: str) -> None:
    load(NEEDED | {f"COACHWORK_{name}": "x"}, {})


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1h30m", 5400)])
def test_times_are_seconds_or_have_a_unit(text: str, seconds: int) -> None:
    assert load(NEEDED | {"COACHWORK_SCHEDULE_GRACE": text}, {}).schedule_grace == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("2048", 2048), ("4Ki", 4096), ("1Mi", 1048576), ("1Gi", 1073741824), ("1M", 10**6)]
)
def test_sizes_are_bytes_or_have_a_binary_unit(text: str, size: int) -> None:
    assert load(NEEDED | {"COACHWORK_LOG_CAP": text}, {}).log_cap == size


def test_annotations_are_lines_and_their_values_may_hold_anything() -> None:
    text = "nginx.ingress.kubernetes.io/rewrite-target=/$2\n\n team = ml=yes, x\n"
    settings = load(NEEDED | {"COACHWORK_INGRESS_ANNOTATIONS": text}, {})
    assert settings.ingress_annotations == (
        ("nginx.ingress.kubernetes.io/rewrite-target", "/$2"),
        ("team", "ml=yes, x"),
    )


@pytest.mark.parametrize("text", ["3.8=a/b:1, 3.12=c", "3.8=a/b:1,3.12=c", " 3.8=a/b:1\n3.12=c\n"])
def test_images_are_pairs_of_a_python_and_its_image(text: str) -> None:
    settings = load(NEEDED | {"COACHWORK_IMAGES": text}, {})
    assert policy(settings, "t").images == (("3.8", "a/b:1"), ("3.12", "c"))


@pytest.mark.parametrize("text", ["3.8", "=a", "3.8=", "3.8=A B", "3.7=a", "3.8=a, 3.8=b", "3.8.1=a", "3.9=acme/X"])
def test_what_is_not_a_python_with_its_image_is_refused(text: str) -> None:
    (problem,) = problems(NEEDED | {"COACHWORK_IMAGES": text})
    assert problem.startswith("COACHWORK_IMAGES: expected a Python and its image, each Python once, like ")


@pytest.mark.parametrize("text", ["cpu=500m, memory=1Gi", " cpu=500m\nmemory=1Gi "])
def test_default_amounts_are_pairs_of_a_resource_and_a_quantity(text: str) -> None:
    made = policy(load(NEEDED | {"COACHWORK_DEFAULT_LIMITS": text}, {}), "t")
    assert (made.default_requests, made.default_limits) == ((), (("cpu", "500m"), ("memory", "1Gi")))


@pytest.mark.parametrize("text", ["cpu", "cpu=", "cpu=0", "cpu=-1", "cpu=much", "nvidia.com/gpu=1", "cpu=1, cpu=2"])
def test_what_is_not_an_amount_of_a_resource_is_refused(text: str) -> None:
    (problem,) = problems(NEEDED | {"COACHWORK_DEFAULT_REQUESTS": text})
    assert problem.startswith("COACHWORK_DEFAULT_REQUESTS: expected amounts of cpu, memory, ephemeral-storage, ")


@pytest.mark.parametrize("text", ["coachwork:81", "coachwork.ml.svc:8081", "10.0.0.7:1", "[fd00::7]:65535"])
def test_pods_call_a_host_and_a_port(text: str) -> None:
    assert policy(load(NEEDED | {"COACHWORK_WAKE": text}, {}), "t").wake == text


@pytest.mark.parametrize(
    "text",
    ["coachwork", ":81", "coachwork:", "coachwork:0", "coachwork:65536", "http://coachwork:81", "a b:81", "fd00::7"],
)
def test_what_is_not_a_host_with_a_port_is_refused(text: str) -> None:
    (problem,) = problems(NEEDED | {"COACHWORK_WAKE": text})
    assert problem.startswith("COACHWORK_WAKE: expected a ")


@given(st.dictionaries(st.sampled_from(SETTING_NAMES), st.text(max_size=2000)))
def test_hostile_values_give_settings_or_bounded_one_line_problems(environ: dict[str, str]) -> None:
    with suppress(Invalid), one_line_problems():
        load(environ, {})


@pytest.mark.parametrize(("workers", "places"), [(None, 4), (2, 1), (1, 1), (64, 4)])
def test_remotes_that_do_not_answer_never_hold_more_than_half_of_the_workers(workers: int | None, places: int) -> None:
    assert git_settings(load(NEEDED, {"workers": workers})).concurrency == places


def test_the_planner_gets_what_it_needs_of_the_settings() -> None:
    flags = {"node": "n1", "start_grace": 5, "ingress_class": "nginx", "ingress_host": "m.example.com"}
    result = policy(load(NEEDED, flags), "abc123")
    assert (result.namespace, result.image, result.claim, result.tools) == (
        "ml",
        "coachwork:dev",
        "coachwork",
        "abc123",
    )
    assert (result.node, result.start_grace, result.schedule_grace) == ("n1", 5, 1800)
    assert result.ingress == IngressPolicy(class_name="nginx", host="m.example.com")


@pytest.mark.parametrize(
    "path", ["/{namespace}/{service}", "/{project}/{stage}", "/ml/{request}/{stage}", "/x-{service}"]
)
def test_a_path_of_ingresses_tells_services_apart(path: str) -> None:
    settings = load({**NEEDED, "COACHWORK_INGRESS_PATH": path}, {})
    assert policy(settings, "t").ingress.path == path


@pytest.mark.parametrize(
    "path",
    ["/", "/models", "/{stage}", "{project}/{stage}", "/{project}/{stage}/", "/{project}{x}/{stage}", "/{service}(.*)",
     "/{service.name}", "/{service", "/{project!r}/{stage}", "//{service}", "/{0}/{service}"],
)  # fmt: skip
def test_a_malformed_path_or_one_on_which_services_would_meet_is_refused(path: str) -> None:
    with pytest.raises(Invalid, match="COACHWORK_INGRESS_PATH: expected a path like"):
        load({**NEEDED, "COACHWORK_INGRESS_PATH": path}, {})
