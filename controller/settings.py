"""The controller's settings: flags, then environment, then defaults, as one frozen value.

Refuses to start half-right: every problem is told at once, each with where it was said and what would be right.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

from controller.core.errors import Invalid
from controller.core.images import OFFICIAL, python_problem
from controller.core.inputs import checks
from controller.core.model import INGRESS_PATH, IngressPolicy, Policy
from controller.core.text import clean, near, parse_duration, parse_quantity, quoted

PREFIX = "COACHWORK_"
Parse = Callable[[str], Any]
"""Gives the value that a text means; raises ValueError with what was expected instead."""

DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # RFC 1123, as Kubernetes checks names
DNS_NAME = rf"(?=.{{1,253}}\Z){DNS_LABEL}(\.{DNS_LABEL})*"


# --- what a text means ----------------------------------------------------------------------------


def _matching(pattern: str, expected: str) -> Parse:
    """Give a parser of text that matches `pattern` as a whole."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(expected)
        return text

    return parse


def _one_of(*choices: str) -> Parse:
    """Give a parser of one of `choices`, in any case."""

    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError(f"one of {', '.join(choices)}")

    return parse


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def _size(text: str) -> int | None:
    amount = parse_quantity(text)
    return int(amount) if amount is not None and amount == int(amount) else None


def _whole(
    low: int, high: int, parse_number: Callable[[str], int | None] = _number, what: str = "a whole number"
) -> Parse:
    """Return a parser of a number from `low` to `high`."""

    def parse(text: str) -> int:
        value = parse_number(text)
        if value is None or not low <= value <= high:
            raise ValueError(f"{what} from {low} to {high}")
        return value

    return parse


def _seconds(low: int, high: int) -> Parse:
    """Return a parser of a time: seconds, or a duration such as 1h30m."""
    what = "a time such as 90, 90s, 5m or 2h, in seconds"
    return _whole(low, high, lambda text: parse_duration(f"{text}s" if text.isdecimal() else text), what)


def _bytes(low: int, high: int) -> Parse:
    """Return a parser of a size as Kubernetes writes it."""
    return _whole(low, high, _size, "a size such as 64Mi, in bytes")


def _flag(text: str) -> bool:
    """Give the truth of true or false."""
    return bool(_one_of("false", "true")(text) == "true")


def _absolute(text: str) -> PurePosixPath:
    """Give an absolute path."""
    if not text.startswith("/") or "\0" in text:
        raise ValueError("an absolute path such as /var/lib/coachwork")
    return PurePosixPath(text)


def _annotations(text: str) -> tuple[tuple[str, str], ...]:
    """Give the pairs of lines KEY=VALUE; keys as Kubernetes takes them."""
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    key = rf"({DNS_NAME}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
    if not all(equals and re.fullmatch(key, name.strip()) for name, equals, _ in pairs):
        raise ValueError("a line KEY=VALUE for each annotation")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def _ingress_path(text: str) -> str:
    """Return a path with places for names, in which no two services share a path."""
    filled = re.sub(r"\{(namespace|request|project|stage|service)\}", "x", text)
    distinct = "{service}" in text or ("{stage}" in text and ("{project}" in text or "{request}" in text))
    if not distinct or not re.fullmatch(r"(/[A-Za-z0-9._~-]{1,200})+", filled) or len(text) > 200:  # noqa: PLR2004
        raise ValueError(
            "a path like /{namespace}/{service} or /{project}/{stage}: it has {service}, or {stage} and {project} "
            "or {request}"
        )
    return text


def _images(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs PYTHON=IMAGE, separated by commas or white space."""
    pairs = [part.partition("=") for part in re.split(r"[\s,]+", text) if part]
    known = {python: image for python, _, image in pairs}
    if len(known) != len(pairs) or any(
        python_problem(python) or not checks.is_image(image) for python, _, image in pairs
    ):
        raise ValueError("a Python and its image, each Python once, such as 3.9=python:3.9-slim, 3.12=python:3.12-slim")
    return tuple(known.items())


_text = _matching(r"[^\x00-\x20\x7f]{1,1024}", "text without white space")
_label = _matching(DNS_LABEL, "a DNS label such as coachwork")
_name = _matching(DNS_NAME, "a DNS name such as models.example.com")
_path = _matching(r"[^\x00]{1,4096}", "a path")


def _setting(parse: Parse, default: Any = MISSING) -> Any:
    """Give a field of Settings with its parser; without a default it must be said."""
    return field(default=default, metadata={"parse": parse})


# --- the settings ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the controller was told. Each field is the flag --a-field and the variable COACHWORK_A_FIELD."""

    namespace: str = _setting(_label)  # requests, workloads, Secrets and the claim are in this one
    image: str = _setting(_text)  # of stages whose project and request name none
    images: tuple[tuple[str, str], ...] = _setting(_images, OFFICIAL)  # of stages that ask for a Python
    volume: PurePosixPath = _setting(_absolute, PurePosixPath("/var/lib/coachwork"))  # noqa: RUF009 - it is a field()
    claim: str = _setting(_name, "coachwork")  # PersistentVolumeClaim that is mounted at `volume`
    node: str = _setting(_name, "")  # stages are placed here (ReadWriteOnce); "": anywhere
    image_pull_policy: str = _setting(_one_of("IfNotPresent", "Always", "Never"), "IfNotPresent")  # of stages
    service_account: str = _setting(_name, "coachwork-stage")  # of stages
    trigger_image: str = _setting(_text, "")  # of the pods that a schedule starts; "": `image`
    trigger_service_account: str = _setting(_name, "coachwork-trigger")  # of the same
    workers: int = _setting(_whole(1, 64), 8)  # requests reconciled at once
    pass_limit: int = _setting(_seconds(1, 604_800), 900)  # seconds of a pass, beside its Git, until /healthz fails
    port: int = _setting(_whole(0, 65535), 8080)  # of /metrics, /healthz, /readyz, /api/; 0: any free one
    log_level: str = _setting(_one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
    kubeconfig: str = _setting(_path, "")  # "": the pod's own account
    context: str = _setting(_path, "")  # of the kubeconfig; "": its current one

    allow_file_repositories: bool = _setting(_flag, default=False)  # file:// URLs, for tests and laptops
    git_resolve_timeout: int = _setting(_seconds(1, 3600), 20)  # seconds of asking a remote for its refs
    git_fetch_timeout: int = _setting(_seconds(1, 86_400), 300)  # seconds of one fetch, and of one checkout
    git_max_bytes: int = _setting(_bytes(1 << 20, 1 << 40), 2 << 30)  # of a mirror, and of a checkout
    git_max_files: int = _setting(_whole(1, 10_000_000), 100_000)  # of a checkout
    git_concurrency: int = _setting(_whole(1, 64), 4)  # at remotes at once; at most half of the workers

    start_grace: int = _setting(_seconds(0, 86_400), 120)  # seconds that a missing image or Secret may last
    schedule_grace: int = _setting(_seconds(0, 604_800), 1800)  # seconds without room, quota or volume
    install_limit: int = _setting(_seconds(1, 86_400), 900)  # seconds of building an environment
    install_memory: int = _setting(_bytes(1 << 24, 1 << 40), 512 << 20)  # that a build asks for
    install_space: int = _setting(_bytes(0, 1 << 50), 512 << 20)  # that has to be free on the volume before a build
    scratch_limit: int = _setting(
        _bytes(1 << 24, 1 << 50), 10 << 30
    )  # of a stage's private disk, its project's copy too
    log_cap: int = _setting(_bytes(1 << 10, 1 << 40), 64 << 20)  # bytes kept of one attempt's output

    ingress_class: str = _setting(_name, "")  # "": the cluster's default
    ingress_host: str = _setting(_name, "")  # "": any
    ingress_tls_secret: str = _setting(_name, "")  # "": no TLS
    ingress_path: str = _setting(_ingress_path, INGRESS_PATH)  # at which they lead to a service
    ingress_annotations: tuple[tuple[str, str], ...] = _setting(_annotations, ())  # lines KEY=VALUE


def load(environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Give the settings: a flag (by its field's name; None: not given) wins over its variable, that over the default.

    An empty variable counts as not set, as a manifest that clears a value would mean it. Raises
    Invalid("InvalidSettings") with one line for each problem.
    """
    values: dict[str, Any] = {}
    problems = list(_misspelt(environ))
    for option in fields(Settings):
        try:
            values |= _value(option, environ, flags)
        except ValueError as error:
            problems.append(str(error))
    if values.get("context") and not values.get("kubeconfig"):
        problems.append(f"{PREFIX}CONTEXT: names a context, but there is no kubeconfig; set {PREFIX}KUBECONFIG too")
    if problems:
        raise Invalid("InvalidSettings", problems)
    return Settings(**values)


def _value(option: Field[Any], environ: Mapping[str, str], flags: Mapping[str, object]) -> dict[str, Any]:
    """Give the option's value by its name, nothing where its default holds. Raises ValueError with the problem."""
    variable, flag = PREFIX + option.name.upper(), "--" + option.name.replace("_", "-")
    given = flags.get(option.name)
    place, text = (variable, environ.get(variable, "")) if given is None else (flag, str(given))
    if not text and given is None:
        if option.default is MISSING:
            raise ValueError(f"{variable}: missing; set it")
        return {}
    try:
        return {option.name: option.metadata["parse"](text.strip())}
    except ValueError as error:
        raise ValueError(f"{place}: expected {error}, got {quoted(text)}") from None


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    """Give a problem for each COACHWORK_ variable that is no setting but nearly one.

    The others are let be: what a stage finds and the variables of service links begin with COACHWORK_ too.
    """
    known = [option.name.upper() for option in fields(Settings)]
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name in (variable, *known):
            continue
        for option in near(name, known, cutoff=0.8):
            yield f"{clean(variable)}: unknown setting: did you mean {PREFIX}{option}?"


def policy(settings: Settings, tools_digest: str) -> Policy:
    """Give what of the settings the planner needs; `tools_digest` names the tools that are on the volume now."""
    return Policy(
        namespace=settings.namespace,
        image=settings.image,
        claim=settings.claim,
        tools=tools_digest,
        images=settings.images,
        image_pull_policy=settings.image_pull_policy,
        node=settings.node,
        start_grace=settings.start_grace,
        schedule_grace=settings.schedule_grace,
        install_limit=settings.install_limit,
        install_memory_mb=settings.install_memory >> 20,
        install_space=settings.install_space,
        scratch_limit=settings.scratch_limit,
        log_cap=settings.log_cap,
        service_account=settings.service_account,
        trigger_image=settings.trigger_image,
        trigger_account=settings.trigger_service_account,
        ingress=IngressPolicy(
            class_name=settings.ingress_class,
            host=settings.ingress_host,
            tls_secret=settings.ingress_tls_secret,
            annotations=settings.ingress_annotations,
            path=settings.ingress_path,
        ),
    )
