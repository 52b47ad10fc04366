"""Small projects for tests, as texts by path."""

from collections.abc import Mapping

# Answers every GET with $SAYS and stops at once at SIGTERM, as the roughest users' services do.
SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = SAYS.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.do_GET()

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


def server(says: str) -> str:
    """Return the script of a service that answers every GET with this text."""
    return f"SAYS = {says!r}\n{SERVER}"


def project(name: str, dag: str, *stages: Mapping[str, str]) -> dict[str, str | bytes]:
    """Return a project's files."""
    files: dict[str, str | bytes] = {"bodywork.ini": f"[default]\nPROJECT_NAME = {name}\n[workflow]\nDAG = {dag}\n"}
    for stage in stages:
        files |= stage
    return files


def batch(
    name: str, script: str, *, more: str = "", requirements: str = "", seconds: int = 120, retries: int = 0
) -> dict[str, str]:
    """Return the files of a batch stage; `more` are further lines of its config.ini, section headers included."""
    config = (
        "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = main.py\n"
        f"[batch]\nMAX_COMPLETION_TIME_SECONDS = {seconds}\nRETRIES = {retries}\n{more}\n"
    )
    return _stage(name, script, config, requirements)


def service(
    name: str, script: str, *, more: str = "", port: int = 5000, replicas: int = 1, seconds: int = 60
) -> dict[str, str]:
    """Return the files of a service stage."""
    config = (
        "[default]\nSTAGE_TYPE = service\nEXECUTABLE_SCRIPT = main.py\n"
        f"[service]\nMAX_STARTUP_TIME_SECONDS = {seconds}\nREPLICAS = {replicas}\nPORT = {port}\n"
        f"INGRESS = False\n{more}\n"
    )
    return _stage(name, script, config, "")


def _stage(name: str, script: str, config: str, requirements: str) -> dict[str, str]:
    return {f"{name}/main.py": script, f"{name}/config.ini": config, f"{name}/requirements.txt": requirements}
