"""Private Git servers inside the cluster, for end-to-end tests: HTTPS with a private authority, and SSH, in one pod.

As incluster_git.py, and one thing more: asyncssh, which the pod installs when it starts. Login, keys and whether it
answers at all are files in the pod, so that a test can change them.
"""

from pathlib import Path
from typing import Any

import asyncssh
import trustme

from tests.support.incluster_git import BACKEND, ROOT, InClusterGit, manifests
from tests.support.sshserver import private_text, public_text

USERNAME = "ada"
STATE = f"{ROOT}/.state"
PORTS = {443: 8443, 22: 8022, 2222: 8022}  # 22 for git@HOST:PATH, 2222 for ssh://git@HOST:2222/PATH

SERVER = f"""
import subprocess, sys
subprocess.run(["uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", "/tmp/packages", "asyncssh"],
               check=True, timeout=300)
sys.path.insert(0, "/tmp/packages")
import asyncio, asyncssh, base64, pathlib, shlex, ssl, threading, time
{BACKEND}

ROOT, FILES, STATE = "{ROOT}", pathlib.Path("/server"), pathlib.Path("{STATE}")
STATE.mkdir(exist_ok=True)
for name in ("login", "authorized_keys"):
    if not (STATE / name).exists():
        (STATE / name).write_text((FILES / name).read_text())

class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 60

    def do_GET(self):
        given = base64.b64decode((self.headers.get("Authorization") or "").removeprefix("Basic ")).decode()
        while given and (STATE / "hang").exists():
            time.sleep(0.05)
        if given != (STATE / "login").read_text():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            return self.end_headers()
        serve(self)

    do_POST = do_GET

class Doorman(asyncssh.SSHServer):
    def connection_made(self, connection):
        self.connection = connection

    def begin_auth(self, username):
        self.connection.set_authorized_keys(str(STATE / "authorized_keys"))
        return True

async def answer(process):
    program, path = shlex.split(process.command or "x x")
    if program != "git-upload-pack" or not os.path.isdir(ROOT + "/" + path.lstrip("/")):
        process.stderr.write(b"ERROR: Repository not found.\\n")
        return process.exit(1)
    git = await asyncio.create_subprocess_exec(
        "git", "upload-pack", ROOT + "/" + path.lstrip("/"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    await process.redirect(stdin=git.stdin, stdout=git.stdout)
    process.exit(await git.wait())

async def shell():
    await asyncssh.listen("", 8022, server_factory=Doorman, server_host_keys=["/server/host_key"],
                          process_factory=answer, encoding=None)
    await asyncio.Event().wait()

threading.Thread(target=lambda: asyncio.run(shell()), daemon=True).start()
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain("/server/tls.crt", "/server/tls.key")
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


class PrivateGit(InClusterGit):
    """Both servers for the same repositories, with keys and an authority that are made for them."""

    def __init__(self, namespace: str, work: Path, *, name: str, password: str, image: str = "coachwork:dev") -> None:
        """Take a name for its objects that is free in the namespace, and the password of `ada`."""
        super().__init__(namespace, work, image=image)
        self.name, self.password = name, password
        self.host = f"{name}.{namespace}.svc.cluster.local"
        self._authority = trustme.CA()
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._key = asyncssh.generate_private_key("ssh-ed25519")

    def manifests(self) -> list[dict[str, Any]]:
        """Return what `start` applies."""
        certificate = self._authority.issue_cert(self.host)
        files = {
            "server.py": SERVER,
            "login": f"{USERNAME}:{self.password}",
            "authorized_keys": f"{public_text(self._key)}\n",
            "host_key": private_text(self._host_key),
            "tls.crt": "".join(part.bytes().decode() for part in certificate.cert_chain_pems),
            "tls.key": certificate.private_key_pem.bytes().decode(),
        }
        return manifests(self.namespace, self._image, name=self.name, files=files, ports=PORTS)

    # --- where and with what it is reached --------------------------------------------------------------

    def url(self, repository: str) -> str:
        """Return the https address."""
        return f"https://{self.host}/{repository}.git"

    def ssh_url(self, repository: str) -> str:
        """Return the ssh address with a port."""
        return f"ssh://git@{self.host}:2222/{repository}.git"

    def short_url(self, repository: str) -> str:
        """Return the ssh address in its short form."""
        return f"git@{self.host}:{repository}.git"

    def login(self, password: str = "") -> dict[str, str]:
        """Return the values of a Secret for https; for a wrong password, name it."""
        return {"username": USERNAME, "password": password or self.password, "ca.crt": self.authority}

    def key(self) -> dict[str, str]:
        """Return the values of a Secret for ssh."""
        return {"ssh-privatekey": private_text(self._key), "known_hosts": self.known_hosts(self._host_key)}

    def known_hosts(self, key: asyncssh.SSHKey) -> str:
        """Return the lines that say that the server has this host key."""
        return "".join(f"{host} {public_text(key)}\n" for host in (self.host, f"[{self.host}]:2222"))

    @property
    def authority(self) -> str:
        """The certificate of the private authority, in PEM."""
        return self._authority.cert_pem.bytes().decode()

    # --- what changes -------------------------------------------------------------------------------------

    def hang(self, *, on: bool) -> None:
        """Answer nobody who has said who he is, or everybody again."""
        self.shell("touch" if on else "rm", f"{STATE}/hang")
