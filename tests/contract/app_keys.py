"""Keys of a GitHub App, made for a test, and a Connection that has them."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipelines.repo import Connection, ForgeKind

APP = "4711"


@dataclass(frozen=True)
class Keys:
    """Both as PEM; the private one in the form in which GitHub offers it."""

    private: str
    public: str


def new_keys(bits: int = 2_048) -> Keys:
    """A pair."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Keys(private.decode(), public.decode())


def app_connection(keys: Keys, id_: str = "hub", url: str = "https://api.github.com") -> Connection:
    """A Connection that is this App."""
    return Connection(
        id=id_, kind=ForgeKind.GITHUB, api_url=url, app=APP, app_key=keys.private, secrets=["s"]
    )
