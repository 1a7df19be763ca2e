import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.errors import Unverified
from webhooks.gitlab.parse import GitLab
from webhooks.signature import TOLERANCE_S, sign_standard, standard_key

NOW = 1_700_000_000
SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
PLAIN = "open, gate!"
BODY = b'{"object_kind": "push"}'
TOKEN = {"x-gitlab-token": PLAIN}


def signed(secret=SIGNING, body=BODY, at=NOW, **changes):
    signature = sign_standard("d-1", str(at), body, standard_key(secret))
    headers = {
        "webhook-id": "d-1",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def check(ok, headers, secrets, *, body=BODY, now=float(NOW)):
    if ok:
        GitLab().verify(headers, body, secrets, now)
    else:
        with pytest.raises(Unverified):
            GitLab().verify(headers, body, secrets, now)


def test_the_example_of_standard_webhooks_is_accepted():
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    check(True, headers, secrets, body=b'{"test": 2432232314}', now=1614265330.0)


def test_a_token_is_accepted_under_any_current_secret_and_no_other():
    check(True, TOKEN, [PLAIN])
    check(True, TOKEN, ["new", PLAIN])
    for secrets in ([], [""], ["new"], [PLAIN[:-1]], [SIGNING]):
        check(False, TOKEN, secrets)


@pytest.mark.parametrize("token", ["", "x", PLAIN[:-1], PLAIN + " ", "é", "\udcff", "a, b"])
def test_a_wrong_cut_or_empty_token_is_refused(token):
    check(False, {"x-gitlab-token": token}, [PLAIN, ""])
    check(False, {}, [PLAIN])


def test_a_signature_is_accepted_under_any_current_secret_and_no_other():
    check(True, signed(), [SIGNING])
    check(True, signed(), [OTHER, SIGNING])
    for secrets in ([], [""], [OTHER], [PLAIN]):
        check(False, signed(), secrets)


def test_while_a_token_gives_way_to_a_signature_both_are_accepted():
    check(True, TOKEN, [SIGNING, PLAIN])
    check(True, signed(), [SIGNING, PLAIN])


@pytest.mark.parametrize("signature", ["", "v1,", "v2,x", "x"])
def test_a_bad_signature_is_not_rescued_by_a_good_token(signature):
    check(False, signed(webhook_signature=signature) | TOKEN, [SIGNING, PLAIN])


def test_a_signing_token_is_no_password():
    check(False, {"x-gitlab-token": SIGNING}, [SIGNING])
    check(False, {"x-gitlab-token": SIGNING}, [SIGNING, PLAIN])


@pytest.mark.parametrize("age_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1, 86_400])
def test_a_replay_after_five_minutes_is_refused(age_s):
    check(False, signed(), [SIGNING], now=float(NOW + age_s))
    check(False, signed(webhook_timestamp=str(NOW + age_s)), [SIGNING], now=float(NOW + age_s))


def test_the_id_and_the_time_are_a_part_of_what_is_signed():
    check(False, signed(webhook_id="d-2"), [SIGNING])
    check(False, signed(webhook_timestamp=str(NOW + 1)), [SIGNING])
    for name in ("webhook_id", "webhook_timestamp", "webhook_signature"):
        check(False, signed(**{name: ""}), [SIGNING])


@given(body=st.binary(min_size=1, max_size=200), data=st.data())
def test_no_flipped_bit_gets_through(body, data):
    headers = signed(body=body)
    check(True, headers, [SIGNING], body=body)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    check(False, headers, [SIGNING], body=bytes(changed))


@pytest.mark.parametrize("name", ["x-hub-signature-256", "x-gitea-signature"])
def test_the_signature_of_another_forge_is_none(name):
    check(False, {name: signed()["webhook-signature"]}, [SIGNING, PLAIN])


def test_the_delivery_is_named_by_what_stays_the_same_when_it_is_sent_again():
    name = GitLab().delivery_id
    assert name({"idempotency-key": "k"}) == "k"
    # The one that the signature covers comes first.
    assert name({"webhook-id": "w", "idempotency-key": "k"}) == "w"
    assert name({"x-gitlab-event-uuid": "shared"}) == ""
