"""The signature of a delivery: base64(HMAC-SHA256(secret as UTF-8, raw body)).

Source: SuperOffice documentation, "Webhook security"; HMAC is RFC 2104. The signature covers the
body only. Neither headers nor the URL are proven by it, and it carries no time and no key id.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from superoffice_hooks.exceptions import SignatureError

# Two copies of the header arrive joined by a comma. More than a few are nobody's proxy.
MAX_SIGNATURES = 4


def sign(body: bytes, secret: str) -> str:
    """Return the signature that SuperOffice sends for these bytes.

    Raises ``ValueError`` for a blank secret: an HMAC under an empty key proves nothing.
    """
    if not secret.strip():
        raise ValueError("A blank secret cannot sign.")
    # surrogateescape gives back the bytes of an environment variable that was not UTF-8.
    key = secret.encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.digest(key, body, "sha256")).decode("ascii")


def verify(body: bytes, signature: str, secrets: Iterable[str]) -> str:
    """Return the secret that gives this signature for these bytes, or raise ``SignatureError``.

    ``signature`` is the header's value as it came, "" where it is missing; ``secrets`` are the
    active ones, two while a secret is rotated. Blank secrets never match. The encoded text is
    compared, as bytes and in constant time: decoding base64 would let different texts pass for
    one signature, and ``compare_digest`` refuses text beyond ASCII. Every secret is tried,
    whatever came, so that the time taken says nothing about the secrets.
    """
    candidates = [
        candidate.strip().encode("utf-8", "surrogatepass")
        for candidate in signature.split(",")[:MAX_SIGNATURES]
    ]
    matched = None
    for secret in secrets:
        if not secret.strip():
            continue
        expected = sign(body, secret).encode("ascii")
        for candidate in candidates:
            if hmac.compare_digest(expected, candidate):
                matched = secret
    if matched is None:
        raise SignatureError(
            "The signature does not match any secret of this endpoint."
            if signature
            else "The header X-SuperOffice-Signature is missing."
        )
    return matched


def key_id(secret: str) -> str:
    """Return eight hexadecimal digits that name a secret without showing it.

    Kept with each delivery, they tell when the old secret of a rotation was used last.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()[:8]
