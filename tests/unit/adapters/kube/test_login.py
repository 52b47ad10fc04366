"""Who an API server is, where its certificates are those that clusters make for themselves."""

import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.adapters.kube.login import login

NOW = datetime.now(UTC)
ME = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
IS_AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)


def signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, more: x509.ExtensionType
) -> bytes:
    """Return a certificate of an authority that puts no key identifiers into what it signs, as EKS and GKE have had."""
    subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, "kubernetes"))
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    valid = made.not_valid_before(NOW - timedelta(1)).not_valid_after(NOW + timedelta(1))
    return valid.add_extension(more, critical=True).sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """Yield the kubeconfig of a server, without its authority; that is beside it, in `ca`."""
    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (tmp_path / "ca").write_bytes(signed("kubernetes", root, root, IS_AUTHORITY))
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "server").write_bytes(own.private_bytes(*private) + signed("api", own, root, ME))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cluster = {"server": f"https://127.0.0.1:{server.server_port}"}
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        users, clusters = [{"name": "x", "user": {}}], [{"name": "x", "cluster": cluster}]
        content = {"current-context": "x", "contexts": [context], "users": users, "clusters": clusters}
        (tmp_path / "config").write_text(yaml.safe_dump(content))
        yield tmp_path / "config"
        server.shutdown()


def ask(kubeconfig: Path, **more: object) -> int:
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"] |= more
    kubeconfig.write_text(yaml.safe_dump(content))
    api = login(str(kubeconfig), "")[0]
    return api.rest_client.pool_manager.request("GET", api.configuration.host, retries=False).status


def test_an_authority_without_key_identifiers_is_one_on_every_python(kubeconfig: Path) -> None:
    assert ask(kubeconfig, **{"certificate-authority": str(kubeconfig.parent / "ca")}) == 200


def test_an_authority_that_the_kubeconfig_does_not_name_is_none(kubeconfig: Path) -> None:
    with pytest.raises(urllib3.exceptions.SSLError):
        ask(kubeconfig)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_who_asks_for_no_verification_gets_none(kubeconfig: Path) -> None:
    assert ask(kubeconfig, **{"insecure-skip-tls-verify": True}) == 200
