import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.repo import ForgeKind
from tests.payloads import EVENTS, PAYLOADS
from webhooks.errors import Unverified
from webhooks.registry import FORGES

BODY = json.dumps(PAYLOADS["bitbucket/push"]).encode()
SECRET = "open, gate!"
BOTH = [ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DC]
both = pytest.mark.parametrize("kind", BOTH)


def signed(secret=SECRET, body=BODY, algorithm="sha256"):
    digest = hmac.new(secret.encode(), body, algorithm).hexdigest()
    return {"x-hub-signature": f"{algorithm}={digest}"}


def check(ok, kind, headers, secrets, body=BODY):
    if ok:
        FORGES[kind].verify(headers, body, secrets, 0.0)
    else:
        with pytest.raises(Unverified):
            FORGES[kind].verify(headers, body, secrets, 0.0)


@both
@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (b"Hello World!", "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"),
        (b"Hello, World!", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
    ],
)
def test_the_published_examples_are_accepted(kind, body, digest):
    headers = {"x-hub-signature": f"sha256={digest}"}
    check(True, kind, headers, ["It's a Secret to Everybody"], body)
    check(False, kind, headers, ["It's a Secret to Everybody"], body + b"!")


@both
def test_a_call_is_accepted_under_any_current_secret_and_no_other(kind):
    check(True, kind, signed(), [SECRET])
    check(True, kind, signed(), ["new", SECRET])
    for secrets in ([], [""], ["new"], [SECRET[:-1]], [SECRET + " "]):
        check(False, kind, signed(), secrets)


@both
@pytest.mark.parametrize("algorithm", ["sha1", "sha512", "md5"])
def test_under_that_header_another_digest_is_none(kind, algorithm):
    check(False, kind, signed(algorithm=algorithm), [SECRET])
    # Nor is one that lies about what it is.
    digest = signed(algorithm=algorithm)["x-hub-signature"].partition("=")[2]
    check(False, kind, {"x-hub-signature": f"sha256={digest}"}, [SECRET])


@both
@pytest.mark.parametrize("value", ["", "sha256", "sha256=", "=", "SHA256=00", "é", "\udcff"])
def test_a_header_that_is_empty_cut_or_odd_is_refused(kind, value):
    check(False, kind, {"x-hub-signature": value}, [SECRET, ""])
    check(False, kind, {}, [SECRET])


@both
@pytest.mark.parametrize(
    "name", ["x-hub-signature-256", "x-gitea-signature", "webhook-signature", "authorization"]
)
def test_the_signature_of_another_forge_is_none(kind, name):
    check(False, kind, {name: signed()["x-hub-signature"]}, [SECRET])


@given(kind=st.sampled_from(BOTH), body=st.binary(min_size=1, max_size=200), data=st.data())
def test_no_flipped_bit_gets_through(kind, body, data):
    headers = signed(body=body)
    check(True, kind, headers, [SECRET], body)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    check(False, kind, headers, [SECRET], bytes(changed))
    digest = bytearray(hmac.new(SECRET.encode(), body, hashlib.sha256).digest())
    place = data.draw(st.integers(0, len(digest) * 8 - 1))
    digest[place // 8] ^= 1 << place % 8
    check(False, kind, {"x-hub-signature": f"sha256={digest.hex()}"}, [SECRET], body)


@pytest.mark.parametrize(("kind", "name"), [(BOTH[0], "x-request-uuid"), (BOTH[1], "x-request-id")])
def test_a_delivery_is_named_by_what_stays_the_same_when_it_is_sent_again(kind, name):
    forge = FORGES[kind]
    first = {name: "u-1", "x-hook-uuid": "h", "x-attempt-number": "1"}
    again = {**first, "x-attempt-number": "2"}
    assert forge.delivery_id(first) == forge.delivery_id(again) == "u-1"
    assert forge.delivery_id({"x-hook-uuid": "h"}) == ""


@both
def test_the_header_names_the_event(kind):
    push = EVENTS[kind]["push"]
    assert FORGES[kind].event_name({"x-event-key": push}) == push
