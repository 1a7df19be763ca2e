"""A GitHub App's key and what it proves with it."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.contract.app_keys import new_keys
from webhooks.github.app import JWT_S, KEY_CHARS_MAX, app_jwt, key_problem

KEYS = new_keys()
CURVE = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
LOCKED = RSAKey.import_key(KEYS.private).raw_value.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.BestAvailableEncryption(b"of the owner"),
)


def test_the_proof_is_of_the_app_since_a_minute_and_for_less_than_ten() -> None:
    now = 1_800_000_000.75
    token = jwt.decode(app_jwt("Iv1.8a61", KEYS.private, now), RSAKey.import_key(KEYS.public))
    assert token.header == {"alg": "RS256", "typ": "JWT"}
    assert token.claims == {"iss": "Iv1.8a61", "iat": 1_799_999_940, "exp": 1_800_000_540}
    assert JWT_S < 600


def test_a_key_as_github_offers_it_is_one_with_and_without_air_around_it() -> None:
    assert key_problem(KEYS.private) is None
    assert key_problem(f"\n{KEYS.private}\n") is None


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("", "no RSA private key"),
        ("ghp_a-token-of-a-person", "no RSA private key"),
        (KEYS.private[:200], "no RSA private key"),
        (CURVE.decode(), "no RSA private key"),
        (LOCKED.decode(), "no RSA private key"),
        (KEYS.public, "no RSA private key"),
        (new_keys(1_024).private, "1024 bits"),
        ("x" * (KEY_CHARS_MAX + 1), "characters"),
    ],
    ids=["none", "a token", "cut", "a curve's", "locked", "public", "short", "long"],
)
def test_what_is_no_key_of_an_app_is_told_apart_and_not_repeated(pem: str, why: str) -> None:
    problem = key_problem(pem)
    assert problem is not None and why in problem
    assert not pem or pem not in problem


def test_a_proof_with_what_is_no_key_is_our_own_error() -> None:
    for pem in ("", "no key", KEYS.private[:500], CURVE.decode()):
        with pytest.raises(ValueError, match="app_key is no RSA private key"):
            app_jwt("1", pem, 0.0)
