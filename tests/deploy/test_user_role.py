"""The Roles for people: what the commands ask for, what each `kubectl` line that we show needs, and no more."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from controller.adapters.kube.person import ONLY, USED
from tests.support.kustomize import COMPONENTS, DEPLOY

ROOT = Path(__file__).parents[2]
USER, VIEW, SECRETS, WORKLOADS = "user-role", "user-role-view", "user-role-secrets", "user-role-workloads"
ROLES = (USER, VIEW, SECRETS, WORKLOADS)
ADMINISTRATOR = ""
NAMED = ("services/proxy", "serviceaccounts/token")
READ = {"get", "list", "watch"}
DESCRIBED: dict[str, set[str]] = {"pods": {"get", "list"}, "events": {"list"}}

SHOWN: list[tuple[str, str, dict[str, set[str]]]] = [
    # what a `kubectl` line begins with, the component whose Role it needs beyond `coachwork-user`, the rights it takes
    (r"apply -k|delete -k|delete configmaps,jobs|rollout status|exec |create role|label namespace", ADMINISTRATOR, {}),
    (r"set image|get endpointslices|describe node|create secret docker-reg|port-forward deploy", ADMINISTRATOR, {}),
    (r"delete serviceaccount |apply -f cluster", ADMINISTRATOR, {}),
    (r"apply -f request", USER, {"configmaps": {"get", "create", "patch"}}),
    (r"(apply|get) -->|get --raw$", USER, {}),  # a figure, and the command alone
    (r"(get|create|annotate|patch) configmap", USER, {"configmaps": {"get", "list", "create", "patch"}}),
    (r"delete configmap ", USER, {"configmaps": {"list", "delete"}}),
    (r"wait (--for=create )?configmap|wait --for=create$", USER, {"configmaps": READ}),
    (
        r"port-forward service/", USER,
        {"services": {"get"}, "pods": {"get", "list"}, "pods/portforward": {"get", "create"}},
    ),
    (r"get --raw \S*/services/http:coachwork:http/proxy/", USER, {"services/proxy": {"get"}}),
    (r"create token coachwork-reader", USER, {"serviceaccounts/token": {"create"}}),
    (r"logs ", USER, {"pods": READ, "pods/log": {"get"}, "deployments": {"get"}, "replicasets": {"list"}}),
    (r"(get|wait --for=create) cronjob", USER, {"cronjobs": READ}),
    (r"get jobs", USER, {"jobs": READ}),
    (r"get pods", USER, {"pods": {"list"}}),
    (r"get events", USER, {"events": {"list"}}),
    (r"describe pods?", USER, DESCRIBED),
    (r"describe deployment", USER, {"deployments": {"get"}, "replicasets": {"list"}, **DESCRIBED}),
    (r"describe hpa", USER, {"horizontalpodautoscalers": {"get"}, **DESCRIBED}),
    (r"describe persistentvolumeclaim", USER, {"persistentvolumeclaims": {"get"}, **DESCRIBED}),
    (r"create secret .*\| kubectl replace", SECRETS, {"secrets": {"get", "update"}}),
    (r"(create|patch) secret", SECRETS, {"secrets": {"create", "get", "patch"}}),
    (r"create job|delete cronjob", WORKLOADS, {"jobs": {"create"}, "cronjobs": {"delete"}}),
    (r"patch job ", WORKLOADS, {"jobs": {"patch"}}),
    (r"rollout (restart|pause)", WORKLOADS, {"deployments": {"patch"}}),
]  # fmt: skip
# Of kubectl: edit, replace and wait; whoever made something may change and remove it; a sample is applied.
BEYOND: dict[str, dict[str, set[str]]] = {
    USER: {"configmaps": {"watch", "update"}},
    VIEW: {"services/proxy": {"get"}, "serviceaccounts/token": {"create"}},
    SECRETS: {"secrets": {"delete"}},
    WORKLOADS: {"cronjobs": {"create", "update", "patch"}, "jobs": {"delete"}},
}
READABLE = (
    "services", "pods", "events", "persistentvolumeclaims", "deployments", "replicasets", "jobs", "cronjobs",
    "horizontalpodautoscalers", "poddisruptionbudgets",
)  # fmt: skip
VERBS = "annotate|apply|create|delete|describe|exec|get|label|logs|patch|port-forward|replace|rollout|set|wait"
BEGINS = re.compile(rf"kubectl (?:-n \S+ )?((?:{VERBS}) [^`\n]+)")


def granted(component: str) -> dict[str, set[str]]:
    """Return the verbs of a component's Role, by resource."""
    role = yaml.safe_load((DEPLOY / "components" / component / "role.yaml").read_text(encoding="utf-8"))
    assert (role["kind"], role["metadata"]["name"]) == ("Role", f"coachwork-{component.replace('-role', '')}")
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for resource in rule["resources"]:
            assert resource not in found
            found[resource] = set(rule["verbs"])
            assert rule.get("resourceNames", []) == ([ONLY[resource]] if resource in NAMED else [])
    return found


def needed(component: str) -> dict[str, set[str]]:
    """Return what the lines that we show take of a component's Role, and what goes with that."""
    found: dict[str, set[str]] = {}
    for rights in [BEYOND[component], *(rights for _, whose, rights in SHOWN if whose == component)]:
        for resource, verbs in rights.items():
            found.setdefault(resource, set()).update(verbs)
    return found


def lines() -> Iterator[str]:
    """Yield each `kubectl` line of a page, or of a message in the code, with its place."""
    places = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    for place in [*places, *(ROOT / "controller").rglob("*.py")]:
        text = place.read_text(encoding="utf-8").replace("\\\n", " ").replace("{on}", "kubectl")
        for found in BEGINS.findall(text) if "adr" not in place.parts else ():
            yield f"{place.relative_to(ROOT)}: {found.strip()}"


def test_each_kubectl_line_that_we_show_is_allowed_to_those_whom_its_page_names() -> None:
    shown = list(lines())
    assert len(shown) > 60
    unknown = [line for line in shown if not any(re.match(pattern, line.partition(": ")[2]) for pattern, _, _ in SHOWN)]
    assert not unknown, "whose Role is enough for these?"


def test_the_roles_grant_what_commands_and_shown_lines_need_and_no_more() -> None:
    user = needed(USER)
    for resource, verbs in [
        *((place[1], verbs) for place, verbs in USED.items()),
        *((name, READ) for name in READABLE),
    ]:
        user.setdefault(resource, set()).update(verbs)
    assert granted(USER) == user
    assert granted(VIEW) == needed(VIEW)
    assert granted(SECRETS) == needed(SECRETS)
    assert granted(WORKLOADS) == needed(WORKLOADS)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_for_people_reaches_into_pods_or_gives_rights(role: str) -> None:
    assert role in COMPONENTS
    out_of_reach = {"pods/exec", "pods/attach", "roles", "rolebindings", "*"}
    assert not granted(role).keys() & out_of_reach
    assert not [verbs for verbs in granted(role).values() if "*" in verbs or "deletecollection" in verbs]
