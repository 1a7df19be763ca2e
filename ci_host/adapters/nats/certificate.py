"""Certificate: what the embedded nats-server shows to Runners of other machines.

It is signed by itself, made once and kept with the store. An invitation carries it, and a Runner
trusts it and nothing else; so it needs no authority, no name in DNS and no renewal.
"""

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipelines.desk import SERVER_NAME

CERTIFICATE, KEY = "tls.crt", "tls.key"
DAYS = 36_500


def ensure_certificate(store: Path) -> None:
    """Make it where it is missing: the key first, so that a crash leaves none without it."""
    if (store / CERTIFICATE).exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of other machines may be behind.
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(store / KEY, private)
    _write(store / CERTIFICATE, certificate.public_bytes(pem))


def certificate_of(store: Path) -> bytes:
    """As DER. Raises OSError."""
    certificate = x509.load_pem_x509_certificate((store / CERTIFICATE).read_bytes())
    return certificate.public_bytes(serialization.Encoding.DER)


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
