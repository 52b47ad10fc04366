"""What is recorded: projects, requests and settings that use each feature, and the texts that keys are made of.

Data only, and nothing of the controller's code: `recorded.py` has what is called.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
Files = Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """What a user does next, until the run is over: push, change the request's keys or annotations.

    `fails` is the stage whose script fails.
    """

    push: Files | None = None
    data: Files = field(default_factory=dict)
    annotations: Files = field(default_factory=dict)
    fails: str = ""


@dataclass(frozen=True)
class Scenario:
    """A project, its request and the controller's settings; `steps` follow the first run."""

    files: Files
    data: Files = field(default_factory=dict)
    name: str = "iris"
    fails: str = ""
    settings: Files = field(default_factory=dict)
    secrets: Mapping[str, Files] = field(default_factory=dict)
    config_maps: Mapping[str, Files] = field(default_factory=dict)
    services: tuple[str, ...] = ()  # Services of others
    steps: tuple[Step, ...] = ()


def ini(dag: str, main: str = "", **stages: str) -> dict[str, str]:
    """Return a project in ini form: `stages` are their config.ini, `main` lines of [default] and sections after it."""
    default, _, sections = main.partition("---\n")
    files = {"bodywork.ini": f"[default]\nPROJECT_NAME = iris\n{default}[workflow]\nDAG = {dag}\n{sections}"}
    for name, text in stages.items():
        files |= {f"{name}/config.ini": text, f"{name}/run.py": "print('hello')\n"}
    return files


def yaml(text: str) -> dict[str, str]:
    """Return a project in YAML form, with the scripts that it names."""
    scripts = re.findall(r"executable_module_path: (\S+)", text)
    return {"bodywork.yaml": text, **dict.fromkeys(scripts, "print('hello')\n")}


def of_folder(folder: Path) -> dict[str, str]:
    """Return the project in a folder, as far as manifests follow from it: what its scripts do makes no difference.

    Gates, which 0.1.0 did not have, are left out.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.suffix in DECIDING}
    texts = {name: re.sub(r"(?m)^REQUIRE = .*\n", "", text) for name, text in texts.items()}
    return texts | {name: "print('hello')\n" for name, path in paths.items() if path.suffix == ".py"}


DECIDING = (".ini", ".yaml", ".txt")
BATCH = "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = run.py\n"
WEB = "[default]\nSTAGE_TYPE = service\nEXECUTABLE_SCRIPT = run.py\n[service]\nPORT = 5000\n"
TRAIN_WEB = ini("train >> web", train=BATCH, web=WEB)
PACKAGES = TRAIN_WEB | {
    "train/requirements.txt": "Pandas==2.2.3 # why\n\nscikit_learn \\\n  >=1.5\n",
    "web/requirements.txt": "flask[async]==3.1.0\n",
}
EVERYTHING = """\
[default]
STAGE_TYPE = batch
EXECUTABLE_SCRIPT = run.py
CPU_REQUEST = 0.5
MEMORY_REQUEST_MB = 250
CPU_LIMIT = 2
MEMORY_LIMIT_MB = 1000
GPU = 2
[batch]
RETRIES = 0
MAX_COMPLETION_TIME_SECONDS = 300
[env]
THRESHOLD = 0.9
Greeting = "Grüße; $(HOME) and $$ # no comment"
[secrets]
API_KEY = model-store
TOKEN = harbour?
"""
SERVICE = """\
[default]
STAGE_TYPE = service
EXECUTABLE_SCRIPT = run.py
CPU_REQUEST = 0.25
[service]
PORT = 8080
MAX_STARTUP_TIME_SECONDS = 90
REPLICAS = 3
INGRESS = True
READINESS_PATH = /healthz?deep=1
[env]
MODEL = a
[secrets]
API_KEY = model-store
"""
YAML_11 = """\
version: "1.1"
pipeline:
  name: Iris_Flowers
  docker_image: registry.example:5000/ml/base:1.2
  DAG: fit, score.all >> api >> report
  secrets_group: prod
  run_on_failure: tell
  resolve_as_of: "2024-03-05"
stages:
  fit:
    executable_module_path: steps/fit.py
    args: ["--rows", "10", "$(HOME)", "two words"]
    requirements: ["scikit-learn==1.4.1.post1", "pandas"]
    cpu_request: 1
    memory_request_mb: 512
    gpu: 1
    batch: {max_completion_time_seconds: 600, retries: 3}
    env: {ALPHA: "0.1", ON: "yes"}
    secrets: {KEY: store, OTHER: {name: more, optional: true}}
  score.all:
    executable_module_path: score.py
    batch: {}
  api:
    executable_module_path: steps/api.py
    requirements: ["pandas", "scikit-learn==1.4.1.post1"]
    service: {port: 5001, replicas: 2, ingress: true, readiness_path: /ready}
  report:
    executable_module_path: steps/report.py
    python: "3.10"
    batch: {}
  tell:
    executable_module_path: steps/tell.py
    batch: {}
"""
POD_YAML = """\
apiVersion: v1
kind: Pod
metadata:
  name: any
  labels: {team: ml}
  annotations: {example.com/note: "0440"}
spec:
  imagePullSecrets: [{name: registry}]
  nodeSelector: {pool: gpu, kubernetes.io/arch: arm64}
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
  affinity:
  priorityClassName: high
  runtimeClassName: nvidia
  schedulerName: other
  dnsPolicy: ClusterFirst
  dnsConfig: {options: [{name: ndots, value: "2"}]}
  hostAliases: [{ip: 10.0.0.1, hostnames: [store]}]
  topologySpreadConstraints:
    - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}
  volumes:
    - {name: data, persistentVolumeClaim: {claimName: data, readOnly: true}}
    - {name: keys, secret: {secretName: keys, defaultMode: 0440}}
  containers:
    - name: stage
      env:
        - {name: DATA, value: /data}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: keys, key: password}}}
      volumeMounts:
        - {name: data, mountPath: /data, readOnly: true}
        - {name: keys, mountPath: /keys}
      resources:
        requests: {cpu: 100m}
        limits: {nvidia.com/gpu: 1, memory: 2Gi}
"""
INDEX = {
    "UV_INDEX": "https://ada:hush@pypi.example/simple",
    "UV_INDEX_PRIVATE_USERNAME": "ada",
    "UV_INDEX_PRIVATE_PASSWORD": "hush",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "netrc": "machine pypi.example login ada password hush\n",
    "ca.crt": "-----BEGIN CERTIFICATE-----\n",
}
SETTINGS = {
    "COACHWORK_NODE": "node-1",
    "COACHWORK_CLAIM": "models",
    "COACHWORK_IMAGES": "3.9=registry.example/python:3.9",
    "COACHWORK_IMAGE_PULL_POLICY": "Always",
    "COACHWORK_SERVICE_ACCOUNT": "stages",
    "COACHWORK_TRIGGER_IMAGE": "registry.example/coachwork:1",
    "COACHWORK_TRIGGER_SERVICE_ACCOUNT": "triggers",
    "COACHWORK_INSTALL_LIMIT": "300",
    "COACHWORK_INSTALL_MEMORY": "1Gi",
    "COACHWORK_INSTALL_SPACE": "1Gi",
    "COACHWORK_SCRATCH_LIMIT": "2Gi",
    "COACHWORK_LOG_CAP": "1Mi",
    "COACHWORK_START_GRACE": "30",
}
INGRESS = {
    "COACHWORK_INGRESS_CLASS": "nginx",
    "COACHWORK_INGRESS_HOST": "models.example",
    "COACHWORK_INGRESS_TLS_SECRET": "models-tls",
    "COACHWORK_INGRESS_PATH": "/{request}/{project}/{stage}",
    "COACHWORK_INGRESS_ANNOTATIONS": (
        "nginx.ingress.kubernetes.io/use-regex=true\nnginx.ingress.kubernetes.io/rewrite-target=/$2"
    ),
}
STORES = {"model-store": {"API_KEY": "hush"}, "prod-KEY": {"KEY": "hush"}, "store": {"KEY": "hush"}}
LONG = "a-very-long-name-of-a-stage-that-goes-on-and-on-and-on-to-63"
LOCAL = {
    "setup.py": "",
    "lib/pyproject.toml": "[project]\nname = 'lib'\nversion = '1'\n",
    "common/base.txt": "numpy>=1.26,<2\n-r more.txt\n",
    "common/more.txt": 'requests[socks] ; python_version >= "3.8"\n',
    "common/limits.txt": "urllib3<2\n",
    "wheels/extra-1.0-py3-none-any.whl": "",
}
REQUIREMENTS: Mapping[str, Files] = {
    "plain": {"train/requirements.txt": "Pandas == 2.2.3\nscikit_learn>=1.5 # why\n"},
    "included files and constraints": LOCAL
    | {"train/requirements.txt": "-r ../common/base.txt\n-c ../common/limits.txt\n"},
    "local folders and wheels": LOCAL
    | {"train/requirements.txt": "-e ..\n../lib\n../wheels/extra-1.0-py3-none-any.whl\n"},
    "Git": {
        "train/requirements.txt": "git+https://git.example/ada/lib.git@v1.0#egg=lib&subdirectory=python\n"
        "tool @ git+https://git.example/ada/tool@main\n"
    },
    "hashes": {
        "train/requirements.txt": f"markupsafe==2.1.5 \\\n  --hash=sha256:{'a' * 64} \\\n  --hash=sha256:{'b' * 64}\n"
    },
    "options": {
        "train/requirements.txt": "--index-url https://pypi.example/simple\n--extra-index-url=https://other.example/simple\n"
        "--pre\n--no-binary :all:\nflask\n"
    },
    "addresses": {"train/requirements.txt": "https://files.example/lib-1.0.tar.gz\nname @ https://files.example/n-1.whl\n"},
}  # fmt: skip

DECIDED: tuple[Files, ...] = (  # in addition to the texts, what an environment's key is made of
    {"image": "python:3.12-slim\n", "paths": "p" * 40, "index": "", "as_of": ""},
    {"image": "python:3.9-slim\narm64", "paths": "q" * 40, "index": "1a2b3c", "as_of": "2021-03-05"},
)

EXAMPLES = ("batch-scoring", "serve-model", "train-and-serve")
PROJECTS = (
    "ini-2021", "ini-mishaps", "ini-plain", "ini-two-pythons", "yaml-1.0-2022", "yaml-1.0-berths", "yaml-1.1-2023",
    "yaml-1.1-abi", "yaml-1.1-day", "yaml-1.1-far", "yaml-1.1-source", "yaml-1.1-unlike",
)  # fmt: skip
DOCUMENTED = (  # of these the documents are recorded, too
    "all-keys-of-a-batch-stage", "all-keys-of-yaml", "packages-from-private-indexes", "a-pod-template",
    "requirements-that-lead-elsewhere", "a-failure-stage", "a-schedule", "parameters-and-a-rerun",
)  # fmt: skip

SCENARIOS: Mapping[str, Scenario] = {
    **{f"example-{name}": Scenario(of_folder(ROOT / "examples" / name)) for name in EXAMPLES},
    **{f"project-{name}": Scenario(of_folder(ROOT / "tests/projects" / name)) for name in PROJECTS},
    "all-keys-of-a-batch-stage": Scenario(
        ini("train", train=EVERYTHING),
        {
            "path": "models/iris", "ref": "main", "image": "registry.example/python:3.12", "project-name": "Iris.Two",
            "deadline": "1h30m", "keep-runs": "3", "env.ZETA": "z", "env.ALPHA": "{x}: ä\n", "env.THRESHOLD": "0.8",
            "env.LONG": "many words " * 20,
        },
        secrets=STORES | {"harbour": {"TOKEN": "hush"}},
    ),
    "all-keys-of-a-service": Scenario(ini("web", web=SERVICE), settings=INGRESS, secrets=STORES),
    "an-ingress-without-settings": Scenario(ini("web", web=SERVICE), secrets=STORES),
    "all-keys-of-yaml": Scenario(yaml(YAML_11), secrets=STORES | {"prod-store": {"KEY": "x"}}),
    "a-name-that-another-service-has": Scenario(
        yaml(YAML_11), secrets=STORES | {"prod-store": {"KEY": "x"}}, services=("api",)
    ),
    "packages-of-two-stages": Scenario(PACKAGES),
    "packages-from-private-indexes": Scenario(PACKAGES, {"index-secret": "index"}, secrets={"index": INDEX}),
    "pythons": Scenario(
        ini("old, new, own", "PYTHON = 3.9\n", old=BATCH, new=f"{BATCH}PYTHON = 3.13\n", own=BATCH)
        | {f"{stage}/requirements.txt": "six\n" for stage in ("old", "new", "own")}
    ),
    "an-image-and-its-python": Scenario(
        ini("train >> web", "DOCKER_IMAGE = registry.example/ml:7\nPYTHON = 3.11\n", train=BATCH, web=WEB)
    ),
    "an-image-of-bodywork": Scenario(
        ini("train", "DOCKER_IMAGE = bodyworkml/bodywork-core:1.2.3\n", train=BATCH)
        | {"train/requirements.txt": "pandas==1.1.4\n"}
    ),
    "a-pod-template": Scenario(PACKAGES, {"pod-template": "gpu"}, config_maps={"gpu": {"pod.yaml": POD_YAML}}),
    "requirements-that-lead-elsewhere": Scenario(
        ini("train, hashed, git", train=BATCH, hashed=BATCH, git=BATCH)
        | LOCAL
        | {"train/requirements.txt": "-r ../common/base.txt\n-c ../common/limits.txt\n../lib\n"}
        | {"hashed/requirements.txt": REQUIREMENTS["hashes"]["train/requirements.txt"]}
        | {"git/requirements.txt": REQUIREMENTS["Git"]["train/requirements.txt"]}
    ),
    "packages-as-of-the-commit": Scenario(
        ini("train >> web", "RESOLVE_AS_OF = commit\n", train=BATCH, web=WEB) | {"train/requirements.txt": "flask\n"},
        steps=(Step(annotations={"trigger": "again"}),),
    ),
    "packages-as-of-a-day": Scenario(
        ini("train", "RESOLVE_AS_OF = 2021-03-05\n", train=BATCH) | {"train/requirements.txt": "flask==1.1.2\n"}
    ),
    "a-failure-stage": Scenario(
        ini("train, other >> web", "---\nRUN_ON_FAILURE = tell\n", train=BATCH, other=BATCH, web=WEB, tell=BATCH),
        fails="train",
    ),
    "settings": Scenario(PACKAGES | {"train/config.ini": f"{BATCH}PYTHON = 3.9\n"}, settings=SETTINGS),
    "a-schedule": Scenario(
        TRAIN_WEB,
        {"schedule": "*/15 6-18 * * mon-fri", "time-zone": "Europe/Paris", "on-overlap": "skip", "poll": "60s"},
        steps=(Step(data={"schedule": "@daily", "time-zone": "", "suspend": "true"}),),
    ),
    "a-schedule-with-settings": Scenario(TRAIN_WEB, {"schedule": "0 6 * * *"}, settings=SETTINGS),
    "long-names": Scenario(
        ini(f"{LONG} >> web", **{LONG: BATCH, "web": WEB}),
        {"project-name": "The_Project.of-which-the-name-is-as-long-as-it-can-be-63-letters"[:63]},
        name="a-request-with-a-name-of-fifty-two-letters-in-all-00",
    ),
    "names-that-are-no-labels": Scenario(
        ini("2_Fit.Model >> _api", **{"2_Fit.Model": BATCH, "_api": WEB}), {"project-name": "9Lives"}
    ),
    "parts-of-a-project": Scenario(
        PACKAGES,
        steps=(
            Step(annotations={"trigger": "second", "only": "second train"}),
            Step(annotations={"trigger": "third", "from": "third web"}),
        ),
    ),
    "parameters-and-a-rerun": Scenario(
        PACKAGES,
        {"env.ALPHA": "0.1"},
        steps=(
            Step(annotations={"trigger": "second", "set": 'second {"ALPHA": "0.3", "BETA": "$(ALPHA)"}'}),
            Step(annotations={"trigger": "third", "rerun": "third 2"}),
        ),
    ),
    "a-second-run-of-unchanged-services": Scenario(
        ini("web, other >> train", web=WEB, other=WEB, train=BATCH),
        steps=(
            Step(annotations={"trigger": "again"}),
            Step(push=ini("web >> train", web=f"{WEB}REPLICAS = 2\n", train=BATCH), annotations={"trigger": "changed"}),
        ),
    ),
}  # fmt: skip

TEMPLATES: Mapping[str, str] = {
    "all fields": POD_YAML,
    "nothing": "",
    "only what is not merged": "apiVersion: v1\nkind: Pod\nmetadata: {name: any}\n",
    "empty fields": "spec:\n  affinity:\n  tolerations: []\n",
    "another order": "spec: {priorityClassName: high, nodeSelector: {b: x, a: y}}\nmetadata: {annotations: {x: ä}}\n",
    "aliases": "metadata: {labels: &all {a: b}, annotations: *all}\n",
}
REQUESTS: Mapping[str, Files] = {
    "least": {},
    "all that counts": {
        "ref": "main", "path": "./models//iris/", "image": "python:3.11", "project-name": "two",
        "index-secret": "index", "pod-template": "gpu", "env.B": "2", "env.A": "ä",
    },
    "much that does not count": {
        "git-secret": "git", "schedule": "@daily", "time-zone": "Europe/Paris", "poll": "60s", "on-overlap": "skip",
        "run-on-create": "false", "deadline": "1h", "keep-runs": "7", "suspend": "true",
    },
    "blank values": {"ref": " ", "image": "", "env.EMPTY": ""},
    "SSH": {"repository": "git@git.example:ada/iris.git"},
    "a trailing slash": {"repository": "https://git.example/iris/"},
}  # fmt: skip
NAMES = (
    "iris", "Iris_Flowers", "9lives", "a.b", "_", "-", "ä", "a-status", "x" * 63, LONG, "a" * 62 + "_", "Wide  name!",
    "UPPER-case_9",
)  # fmt: skip
REPOSITORIES = (
    "https://git.example/ada/iris", "https://git.example/ada/iris.git", "git@git.example:ada/iris.git",
    "ssh://git@git.example:2222/" + "deep/" * 20 + "iris", "file:///srv/iris",
)  # fmt: skip
