"""Ways in which a stage fails, and the one line that each must give: the same on a laptop and on a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BATCH = "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = main.py\n"
SERVICE = "[default]\nSTAGE_TYPE = service\nEXECUTABLE_SCRIPT = main.py\n"
CONFLICT = "six==1.16.0\nsix==1.15.0\n"


@dataclass(frozen=True)
class Way:
    """A stage `one` that fails for `reason`; its message names all of `told`."""

    name: str
    reason: str
    told: tuple[str, ...]
    script: str = "print('hello')\n"
    config: str = f"{BATCH}[batch]\nRETRIES = 0\nMAX_COMPLETION_TIME_SECONDS = 60\n"
    requirements: str = ""
    only_on_a_cluster: bool = False
    more: Mapping[str, str] = field(default_factory=dict)

    def files(self, project: str) -> Mapping[str, str]:
        """Return the project."""
        return {
            "bodywork.ini": f"[default]\nPROJECT_NAME = {project}\n[workflow]\nDAG = one\n",
            "one/config.ini": self.config,
            "one/main.py": self.script,
            "one/requirements.txt": self.requirements,
            **self.more,
        }


WAYS = (
    Way(
        "exit-code",
        "ExitCode",
        ("one/main.py:2", "code 1", "ValueError: no data"),
        "x = 1\nraise ValueError('no data')\n",
    ),
    Way("own-exit-code", "ExitCode", ("one/main.py", "code 7", "bye"), "print('bye')\nraise SystemExit(7)\n"),
    Way("signal", "Signal", ("one/main.py", "SIGSEGV"), "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"),
    Way(
        "time-out",
        "TimedOut",
        ("one/main.py", "2 s", "MAX_COMPLETION_TIME_SECONDS"),
        "import time\ntime.sleep(600)\n",
        f"{BATCH}[batch]\nRETRIES = 0\nMAX_COMPLETION_TIME_SECONDS = 2\n",
    ),
    Way(
        "import",
        "ImportError",
        ("one/main.py:1", "nowhere_to_be_found", "one/requirements.txt"),
        "import nowhere_to_be_found\n",
        f"{BATCH}[batch]\nRETRIES = 9\nMAX_COMPLETION_TIME_SECONDS = 60\n",
    ),
    Way(
        "import-of-a-service",
        "ImportError",
        ("one/main.py:1", "nowhere_to_be_found", "one/requirements.txt"),
        "import nowhere_to_be_found\n",
        f"{SERVICE}[service]\nPORT = 5994\nMAX_STARTUP_TIME_SECONDS = 600\n",
    ),
    Way(
        "own-module",
        "ImportError",
        ("one/main.py:1", "it is shared/text/helpers.py: write `from shared.text import helpers`"),
        "import helpers\n",
        f"{BATCH}[batch]\nRETRIES = 9\nMAX_COMPLETION_TIME_SECONDS = 60\n",
        more={"shared/text/helpers.py": ""},
    ),
    Way(
        "no-program",
        "ExitCode",
        ("one/main.py:1", "has no program `no-such-tool`", "docs/how-to/images.md"),
        "import subprocess; subprocess.run(['no-such-tool'])\n",
        f"{BATCH}[batch]\nRETRIES = 9\nMAX_COMPLETION_TIME_SECONDS = 60\n",
    ),
    Way(
        "no-main-guard",
        "ExitCode",
        ("one/main.py:4", 'start processes only below `if __name__ == "__main__":`'),
        "import multiprocessing as mp\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(1, mp.get_context('spawn')) as pool:\n    pool.submit(abs, 1).result()\n",
        f"{BATCH}[batch]\nRETRIES = 9\nMAX_COMPLETION_TIME_SECONDS = 60\n",
    ),
    Way(
        "no-library",
        "ImportError",
        ("one/main.py:1", "the image has no `libgomp.so.1`", "libgomp1; docs/how-to/images.md"),
        "import ctypes; ctypes.CDLL('libgomp.so.1')\n",
        f"{BATCH}PYTHON = 3.10\n[batch]\nRETRIES = 9\nMAX_COMPLETION_TIME_SECONDS = 60\n",
        only_on_a_cluster=True,  # a laptop may have it
    ),
    Way(
        "chatty-child",
        "ExitCode",
        ("one/main.py:4", "ValueError: no data"),
        "import os, subprocess, sys\n"
        "chat = 'import os\\nwhile os.getppid() == {}: pass\\nwhile True: print(1)'.format(os.getpid())\n"
        "subprocess.Popen([sys.executable, '-uc', chat], start_new_session=True)\n"
        "raise ValueError('no data')\n",
    ),
    Way(
        "server-left-behind",
        "ServiceEnded",
        ("one/main.py", "start the server in the foreground"),
        "import os, socket, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'http.server', os.environ['PORT']], start_new_session=True)\n"
        "while socket.socket().connect_ex(('127.0.0.1', int(os.environ['PORT']))):\n"
        "    time.sleep(0.01)\n",
        f"{SERVICE}[service]\nPORT = 5995\nMAX_STARTUP_TIME_SECONDS = 600\n",
    ),
    Way(
        "loopback",
        "StartupTimeout",
        ("127.0.0.1:5996 only", "host='0.0.0.0'"),
        "import http.server\n"
        "http.server.HTTPServer(('127.0.0.1', 5996), http.server.SimpleHTTPRequestHandler).serve_forever()\n",
        f"{SERVICE}[service]\nPORT = 5996\nMAX_STARTUP_TIME_SECONDS = 5\n",
        only_on_a_cluster=True,
    ),
    Way(
        "no-package",
        "InstallFailed",
        ("one/requirements.txt:1", "no-such-package-of-anybody"),
        requirements="no-such-package-of-anybody==1.0\n",
    ),
    Way("conflict", "InstallFailed", ("one/requirements.txt", "six", "1.15.0", "1.16.0"), requirements=CONFLICT),
    Way(
        "not-ready",
        "StartupTimeout",
        ("one/main.py", "5993", "MAX_STARTUP_TIME_SECONDS"),
        "import time\ntime.sleep(600)\n",
        f"{SERVICE}[service]\nPORT = 5993\nMAX_STARTUP_TIME_SECONDS = 3\n",
    ),
)
