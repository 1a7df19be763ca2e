"""A real registry on loopback: Debian's `docker-registry`, with images pushed to it."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.demo.installation import free_port
from tests.patience import PATIENCE_S

PROGRAM = shutil.which("docker-registry")
needs_registry = pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ, reason="no docker-registry"
)
USER, PASSWORD = "ada", "hunter2"
# Of that password, by bcrypt.
HASHED = "$2b$05$wJtNbVkPrQk2OD1YZNYqd.RdCWGRVxSS3KxpDxt3H9gVrRsF8qmmO"


class Registry:
    """One process, with a store of its own."""

    def __init__(self, root: Path, *, auth: str = "") -> None:
        """`auth`: the lines of its configuration that say who may come in."""
        root.mkdir(exist_ok=True)
        self.port = free_port()
        self.name = f"127.0.0.1:{self.port}"
        self.listed = f"http://{self.name}"
        self.store = root / "store"
        self._log = (root / "registry.log").open("ab")
        self._config = root / "registry.yml"
        self._config.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.store}}}}}\n"
            f"http: {{addr: '{self.name}'}}\n{auth}"
        )
        self._process: subprocess.Popen | None = None

    def start(self) -> "Registry":
        assert PROGRAM is not None
        words = [PROGRAM, "serve", str(self._config)]
        self._process = subprocess.Popen(words, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return self
            except OSError:
                assert time.monotonic() < deadline, "the registry did not come up"
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        self._log.close()

    def push(self, layout: Path, repository: str, tag: str, headers=None) -> str:
        """What a layout has, by its index; the digest of what the tag means."""
        index = json.loads((layout / "index.json").read_text())
        for path in (layout / "blobs" / "sha256").iterdir():
            self._push_blob(repository, f"sha256:{path.name}", path.read_bytes(), headers or {})
        for entry in index["manifests"]:
            self._push_manifest(layout, repository, entry, entry["digest"], headers or {})
        top = index["manifests"][-1]
        self._push_manifest(layout, repository, top, tag, headers or {})
        return top["digest"]

    def _push_blob(self, repository: str, digest: str, content: bytes, headers: dict) -> None:
        begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"", headers)
        where = urljoin(f"http://{self.name}/", begun.headers["Location"])
        joint = "&" if "?" in where else "?"
        kind = {"Content-Type": "application/octet-stream"}
        self._ask("PUT", f"{where}{joint}digest={digest}", content, {**headers, **kind})

    def _push_manifest(self, layout, repository, entry, reference, headers) -> None:
        content = (layout / "blobs" / "sha256" / entry["digest"][7:]).read_bytes()
        kind = {"Content-Type": entry["mediaType"]}
        where = f"/v2/{repository}/manifests/{reference}"
        self._ask("PUT", where, content, {**headers, **kind})

    def _ask(self, method: str, where: str, content: bytes, headers: dict):
        url = urljoin(f"http://{self.name}/", where)
        asked = urllib.request.Request(url, data=content, method=method, headers=headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            answer.read()
            return answer


def certified(root: Path, address: str) -> tuple[Path, Path]:
    """A certificate for an address, which vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a registry")])
    now = datetime.now(UTC)
    other = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(other, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (root / "certificate.pem").write_bytes(made.public_bytes(pem))
    (root / "key.pem").write_bytes(plain)
    return root / "certificate.pem", root / "key.pem"


def password_file(root: Path) -> str:
    """The configuration of a registry that one person may use."""
    path = root / "htpasswd"
    path.write_text(f"{USER}:{HASHED}\n")
    return f"auth: {{htpasswd: {{realm: here, path: {path}}}}}\n"


def basic(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + encoded(user, password)}


def encoded(user: str = USER, password: str = PASSWORD) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
