"""What Pod Security `restricted` refuses of a pod (https://kubernetes.io/docs/concepts/security/pod-security-standards/).

Written after the standard, apart from the code: it judges what the code makes.
"""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
CAPABILITIES = {"NET_BIND_SERVICE"}
SECCOMP = ("RuntimeDefault", "Localhost")
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(template: Object) -> list[str]:
    """Return what `restricted` refuses of a pod template (metadata, spec)."""
    spec = template["spec"]
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    annotations = template["metadata"].get("annotations", {})
    found += [key for key in annotations if key.startswith(APPARMOR)]
    found += [
        f"volume {volume['name']}: {kind}"
        for volume in spec.get("volumes", ())
        for kind in volume.keys() - {"name"}
        if kind not in VOLUMES
    ]
    pod = spec.get("securityContext", {})
    found += list(_context(pod, {}))
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind, ()):
            found += _container(container, pod)
    return found


def _container(container: Object, pod: Object) -> Iterator[str]:
    own = container.get("securityContext", {})
    yield from _context(own, pod)
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - CAPABILITIES:
        yield "capabilities"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    yield from ("hostPort" for port in container.get("ports", ()) if port.get("hostPort"))


def _context(context: Object, above: Object) -> Iterator[str]:
    both = {**above, **context}
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if both.get("runAsUser") == 0:
        yield "runAsUser"
    if both.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield "seccompProfile"
    if both.get("sysctls") or both.get("seLinuxOptions") or both.get("windowsOptions", {}).get("hostProcess"):
        yield "sysctls, seLinuxOptions or hostProcess"
