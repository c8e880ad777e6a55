import base64
import hashlib
import hmac

import pytest

from superoffice_hooks.exceptions import SignatureError
from superoffice_hooks.wire.signature import key_id, sign, verify

BODY = b'{"Event":"contact.changed"}'


def test_sign_is_base64_of_hmac_sha256_under_the_utf8_secret():
    expected = hmac.new("hemmelig-æøå".encode(), BODY, hashlib.sha256).digest()
    assert sign(BODY, "hemmelig-æøå") == base64.b64encode(expected).decode()


def test_sign_agrees_with_a_known_answer():
    # RFC 4231, test case 2.
    digest = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    assert sign(b"what do ya want for nothing?", "Jefe") == base64.b64encode(digest).decode()


def test_verify_returns_the_secret_that_matched():
    assert verify(BODY, sign(BODY, "old"), ["new", "old"]) == "old"


def test_verify_takes_one_of_two_joined_signatures():
    assert verify(BODY, f"bogus, {sign(BODY, 'new')}", ["new"]) == "new"


def test_verify_looks_at_four_signatures_and_no_more():
    signature = sign(BODY, "new")
    assert verify(BODY, f"a,b,c,{signature}", ["new"]) == "new"
    with pytest.raises(SignatureError):
        verify(BODY, f"a,b,c,d,{signature}", ["new"])


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="missing"),
        pytest.param("nonsense", id="nonsense"),
        pytest.param("æøå", id="not ASCII"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param("\0", id="NUL"),
        pytest.param(sign(BODY, "s" * 32).rstrip("="), id="padding cut"),
        pytest.param(sign(BODY, "s" * 32) + "=", id="padding added"),
        pytest.param("!" + sign(BODY, "s" * 32), id="junk that lenient base64 ignores"),
        pytest.param(sign(BODY, "s" * 32)[:10] + "\n" + sign(BODY, "s" * 32)[10:], id="folded"),
        pytest.param(sign(BODY, "s" * 32).swapcase(), id="other case"),
        pytest.param(sign(BODY + b" ", "s" * 32), id="of another body"),
        pytest.param(sign(BODY, "another secret"), id="by another secret"),
        pytest.param("A" * 100_000, id="very long"),
    ],
)
def test_verify_refuses(signature):
    with pytest.raises(SignatureError):
        verify(BODY, signature, ["s" * 32])


@pytest.mark.parametrize("secrets", [[], [""], ["  "]], ids=["none", "empty", "blank"])
def test_nothing_is_accepted_without_a_secret(secrets):
    by_the_empty_key = base64.b64encode(hmac.digest(b"", BODY, "sha256")).decode()
    for signature in ("", by_the_empty_key):
        with pytest.raises(SignatureError):
            verify(BODY, signature, secrets)


def test_a_blank_secret_cannot_sign():
    with pytest.raises(ValueError, match="blank"):
        sign(BODY, " ")


def test_bytes_with_the_same_meaning_are_not_the_same_base64():
    # "QQ==" and "QR==" decode alike; the text is compared.
    signature = sign(BODY, "s" * 32)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(signature[-2]) ^ 1]
    twin = f"{signature[:-2]}{last}="
    assert base64.b64decode(twin) == base64.b64decode(signature)
    with pytest.raises(SignatureError):
        verify(BODY, twin, ["s" * 32])


def test_key_id_names_a_secret_without_showing_it():
    assert key_id("new") != key_id("old")
    assert len(key_id("new")) == 8
    assert "new" not in key_id("new")
