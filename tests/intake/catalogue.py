"""The catalogue of odd requests: what is sent, what is answered, and what is stored of it.

``REQUESTS`` are odd by their method, URL, signature, headers, tenant, transport or by what came
before; ``CATALOGUE`` adds the odd bodies of ``cases``. Everything authentic that arrives whole at
its endpoint is answered 200 and stored byte for byte; of what nothing proves, a sample is kept.
"""

import base64
import gzip
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from superoffice_hooks.wire.signature import sign
from tests.builders import URL, body, encode
from tests.intake.cases import QUARANTINED, RECORDED

LIMIT = 10 * 1024 * 1024
NO_HOST = ("Host", "a b/\xff")
RAW = encode(body(EventId="0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab"))
PACKED = gzip.compress(RAW)
TEST = encode(body(Event="test", PrimaryKey=0, ContextIdentifier="Default"))
NEW, OLD, GLOBEX = "new-acme-" * 5, "old-acme-" * 5, "globex-" * 6
TENANTS = {
    "ENDPOINTS": {
        "acme": {"SECRETS": [NEW, OLD], "CONTEXTS": ["Cust1"]},
        "globex": {"SECRETS": [GLOBEX], "CONTEXTS": ["Cust2"]},
        "nobody": {"SECRETS": [GLOBEX], "CONTEXTS": []},
        "blank": {"SECRETS": ["", " "]},
        "bare": {},
    }
}
ACME, NOBODY = "/superoffice/webhook/acme/", "/superoffice/webhook/nobody/"

Header = tuple[str, str]


def _right(signature: str) -> Sequence[str]:
    return (signature,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One request as it leaves the sender, its answer, and what it leaves behind.

    ``target`` is the request line's. ``secret`` gives the right signature, "" for the setting's,
    and ``signatures`` makes of it the values of the signature's headers. ``length`` is what
    Content-Length announces, ``None`` where the body comes in chunks. ``hooks`` are the settings.
    ``before`` are bodies that came before. ``outcome`` is that of the delivery that is stored with
    the bytes as sent, "" where none is; ``says`` is a part of the answer.
    """

    raw: bytes = RAW
    method: str = "POST"
    target: str = URL
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[Header, ...] = ()
    secret: str = ""
    signatures: Callable[[str], Sequence[str]] = _right
    length: int | None = -1
    peer: str = "203.0.113.9"
    hooks: dict[str, Any] | None = None
    before: tuple[bytes, ...] = ()
    status: int = 200
    outcome: str = "recorded"
    says: str = ""

    def sent_headers(self) -> list[Header]:
        """Return all the headers, in their order on the wire."""
        right = sign(self.raw, self.secret or settings.SECRET)
        length = len(self.raw) if self.length == -1 else self.length
        fixed = [
            ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length)),
            ("Content-Type", self.content_type),
            *(("X-SuperOffice-Signature", value) for value in self.signatures(right)),
        ]
        named = {name.lower() for name, _ in self.headers}
        hosts = [] if "host" in named else [("Host", "audit.example")]
        return [*hosts, *fixed, *self.headers]


def _unproven(
    signatures: Callable[[str], Sequence[str]], headers: tuple[Header, ...] = (), raw: bytes = RAW
) -> Case:
    return Case(
        raw=raw,
        signatures=signatures,
        headers=headers,
        status=401,
        outcome="refused",
        says="ignature",
    )


def _mac(key: str, algorithm: str = "sha256") -> bytes:
    return hmac.digest(key.encode(), RAW, algorithm)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _twin(signature: str) -> str:
    """The base64 text that decodes to the same bytes and differs in its last letter."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return f"{signature[:-2]}{alphabet[alphabet.index(signature[-2]) ^ 1]}="


_METHODS = {
    method: Case(method=method, status=405, outcome="")
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
} | {
    "of WebDAV": Case(method="PROPFIND", status=405, outcome=""),
    "of nobody": Case(method="X" * 500, status=405, outcome=""),
    "of our view's own": Case(method="HTTP_METHOD_NOT_ALLOWED", status=405, outcome=""),
    "in small letters": Case(method="post"),
    "overridden by a header": Case(headers=(("X-HTTP-Method-Override", "DELETE"),)),
}

_URLS = {
    target: Case(target=target)
    for target in (
        "/superoffice/webhook",
        "/superoffice/webhook/default",
        "/superoffice/webhook/default/",
        "/superoffice/webhook/?endpoint=acme&x=%00%ff",
        "/superoffice/webhook/%64efault/",
        "/superoffice/%77ebhook",
    )
} | {
    target: Case(target=target, status=404, outcome="")
    for target in (
        "/superoffice/webhook/nobody/",
        "/superoffice/webhook/DEFAULT/",
        "/superoffice/webhook//",
        "/superoffice/webhook/default//",
        "/superoffice/webhook/default/x/",
        "//superoffice/webhook/",
        "/superoffice//webhook/",
        "/SuperOffice/Webhook/",
        "/superoffice/webhook/default%00/",
        "/superoffice/webhook/default%0a/",
        "/superoffice/webhook/%ff/",
        "/superoffice/webhook/%C3%A6/",
        "/superoffice/webhook/..%2fwebhook/",
        "/superoffice/webhook/1'--/",
        f"/superoffice/webhook/{'e' * 10_000}/",
        "/superoffice/webhook.json",
        "/superoffice/webhooks/",
    )
}

_SIGNATURES = {
    "missing": _unproven(lambda right: ()),
    "empty": _unproven(lambda right: ("",)),
    "white space": _unproven(lambda right: (" \t ",)),
    "nonsense": _unproven(lambda right: ("nonsense",)),
    "padding alone": _unproven(lambda right: ("=" * 44,)),
    "commas alone": _unproven(lambda right: ("," * 1000,)),
    "not ASCII": _unproven(lambda right: ("\xe6\xf8\xe5",)),
    "bytes of no text": _unproven(lambda right: ("\xff\xfe",)),
    "NUL": _unproven(lambda right: ("\0",)),
    "NUL behind it": _unproven(lambda right: (f"{right}\0",)),
    "very long": _unproven(lambda right: ("A" * 100_000,)),
    "padding cut": _unproven(lambda right: (right.rstrip("="),)),
    "padding added": _unproven(lambda right: (f"{right}=",)),
    "last letter cut": _unproven(lambda right: (right[:-2] + "=",)),
    "first half": _unproven(lambda right: (right[:22],)),
    "twice over": _unproven(lambda right: (right * 2,)),
    "junk that lenient base64 skips": _unproven(lambda right: (f"!{right}",)),
    "folded": _unproven(lambda right: (f"{right[:10]}\n {right[10:]}",)),
    "white space within": _unproven(lambda right: (f"{right[:10]} {right[10:]}",)),
    "in another case": _unproven(lambda right: (right.swapcase(),)),
    "another text of the same bytes": _unproven(lambda right: (_twin(right),)),
    "in quotes": _unproven(lambda right: (f'"{right}"',)),
    "with the name of its algorithm": _unproven(lambda right: (f"sha256={right}",)),
    "of a scheme with versions": _unproven(lambda right: (f"v1={right}",)),
    "percent-encoded": _unproven(lambda right: (right.replace("=", "%3D"),)),
    "in hexadecimal": _unproven(lambda right: (base64.b64decode(right).hex(),)),
    "base64 of hexadecimal": _unproven(
        lambda right: (_b64(base64.b64decode(right).hex().encode()),)
    ),
    "raw bytes": _unproven(lambda right: (base64.b64decode(right).decode("latin-1"),)),
    "semicolons for commas": _unproven(lambda right: (f"bogus;{right}",)),
    "the body's digest without a key": _unproven(
        lambda right: (_b64(hashlib.sha256(RAW).digest()),)
    ),
    "by SHA-1": _unproven(lambda right: (_b64(_mac(settings.SECRET, "sha1")),)),
    "by SHA-512": _unproven(lambda right: (_b64(_mac(settings.SECRET, "sha512")),)),
    "by another secret": _unproven(lambda right: (_b64(_mac("another secret")),)),
    "by the empty key": _unproven(lambda right: (_b64(_mac("")),)),
    "by a blank key": _unproven(lambda right: (_b64(_mac(" ")),)),
    "by the secret and a line break": _unproven(
        lambda right: (_b64(_mac(settings.SECRET + "\n")),)
    ),
    "the secret itself": _unproven(lambda right: (settings.SECRET,)),
    "of another body": _unproven(lambda right: (sign(RAW + b"\n", settings.SECRET),)),
    "of no body": _unproven(lambda right: (sign(b"", settings.SECRET),)),
    "of the unpacked body": _unproven(
        lambda right: (sign(RAW, settings.SECRET),), (("Content-Encoding", "gzip"),), PACKED
    ),
    "of a body in another spelling": _unproven(
        lambda right: (sign(RAW.replace(b":", b": "), settings.SECRET),)
    ),
    "of a test event": _unproven(lambda right: ("bogus",), (("X-Hook-Test", "true"),), TEST),
    "missing from a test event": _unproven(lambda right: (), (), TEST),
    "missing from what is unreadable": _unproven(lambda right: (), (), b"not JSON"),
    "missing from no body": _unproven(lambda right: (), (), b""),
    "fifth of five": _unproven(lambda right: (f"a,b,c,d,{right}",)),
    "in a header of another name": _unproven(
        lambda right: (), (("X-Signature", sign(RAW, "a-secret-of-the-tests-0123456789abcdef")),)
    ),
    "with spaces around": Case(signatures=lambda right: (f" {right}\t",)),
    "fourth of four": Case(signatures=lambda right: (f"a,b,c,{right}",)),
    "behind an empty one": Case(signatures=lambda right: (f",{right}",)),
    "in the second of two headers": Case(signatures=lambda right: ("bogus", right)),
    "in the first of two headers": Case(signatures=lambda right: (right, "bogus")),
    "right twice": Case(signatures=lambda right: (right, right)),
    "beside one that is not ASCII": Case(signatures=lambda right: (f"\xe6,{right}",)),
    "beside NUL": Case(signatures=lambda right: (f"{right},\0",)),
    "beside 100,000 letters": Case(signatures=lambda right: (f"{right},{'A' * 100_000}",)),
}

_HEADERS = {
    name: Case(headers=headers)
    for name, headers in {
        "EventId of another": (("X-SuperOffice-EventId", "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10"),),
        "EventId that is none": (("X-SuperOffice-EventId", "\0'; --"),),
        "event of another": (("X-SuperOffice-Event", "sale.deleted"),),
        "retry in words": (("X-SuperOffice-Retry", "minus two"),),
        "retry negative": (("X-SuperOffice-Retry", "-1"),),
        "retry of 5,000 digits": (("X-SuperOffice-Retry", "9" * 5000),),
        "test that is none": (("X-Hook-Test", "true"),),
        "many": tuple((f"X-Other-{number}", "x") for number in range(500)),
        "one many times": (("X-Other", "x"),) * 200,
        "of 64 kB": (("X-Long", "x" * 65_536),),
        "of a long name": (("X-" + "n" * 5000, "x"),),
        "of odd names": (("X-!#$%&'*+.^`|~", "x"), ("-", "x"), ("X", "x")),
        "empty": (("X-Empty", ""),),
        "not ASCII": (("X-Name", "\xc6rlig \xff"),),
        "NUL and control characters": (("X-Odd", "a\0b\x01\x1b[2J\x7f"),),
        "line break that forges another": (("X-Odd", "a\r\nX-SuperOffice-Event: forged"),),
        "credentials": (("Authorization", "Basic bm9ib2R5Om5vdGhpbmc="), ("Cookie", "sessionid=x")),
        "cookies that are none": (("Cookie", '=;;a="\xff"; csrftoken=\0; sessionid==;' * 50),),
        "page of another site": (
            ("Origin", "https://evil.example"),
            ("Referer", "https://evil.example/"),
            ("Sec-Fetch-Site", "cross-site"),
        ),
        "origin null": (("Origin", "null"), ("Referer", "://[")),
        "forwarded from elsewhere": (
            ("X-Forwarded-For", "127.0.0.1, ::1"),
            ("Forwarded", "for=_x;host=evil.example"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "gopher"),
            ("X-Original-URL", "/admin/"),
        ),
        "languages without end": (("Accept-Language", "nb-NO;q=0.1,*;q=9,\0x,," * 400),),
        "nothing accepted": (("Accept", "image/png;q=0"), ("Accept-Encoding", "identity;q=0")),
        "only if unchanged": (("If-Match", '"x"'), ("If-Modified-Since", "yesterday")),
        "a part of it": (("Range", "bytes=5-1"), ("Content-Range", "bytes 0-1/2")),
        "to go on first": (("Expect", "100-continue"),),
        "to change the protocol": (("Connection", "Upgrade"), ("Upgrade", "h2c")),
        "compressed, says the header alone": (("Content-Encoding", "gzip, br, nonsense"),),
        "a digest of other bytes": (("Content-MD5", "x"), ("Digest", "sha-256=x")),
        "asked for by a script": (("X-Requested-With", "XMLHttpRequest"),),
        "a host with a port": (("Host", "audit.example:8443"),),
        "a host in brackets": (("Host", "[::1]:80"),),
    }.items()
} | {
    "EventId of the body's": Case(
        raw=encode(body(EventId=...)),
        headers=(("X-SuperOffice-EventId", "{5D0C7F9E-51D4-4A56-9A5E-0D1B9C6D7F10}"),),
    ),
    "a host that is none": Case(headers=(NO_HOST,), status=400, outcome=""),
}

_CONTENT_TYPES = {
    content_type or "empty": Case(content_type=content_type)
    for content_type in (
        "",
        "text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1; charset=utf-8",
        "application/json; charset=nonsense",
        "application/json; charset=rot13",
        'application/json; charset="',
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "multipart/mixed; boundary=" + "\xff" * 100,
        "image/png",
        "nonsense",
        ";;;=;",
        "a/" + "b" * 5000,
    )
}

_TRANSPORT = {
    "chunked": Case(length=None),
    "chunked, 3 MB": Case(raw=encode(body(FieldValues={"note": "x" * 3_000_000})), length=None),
    "chunked, empty": Case(raw=b"", length=None, outcome="quarantined", says="not JSON"),
    "3 MB": Case(raw=encode(body(FieldValues={"note": "x" * 3_000_000}))),
    "no body": Case(raw=b"", outcome="quarantined", says="not JSON"),
    "compressed": Case(raw=PACKED, headers=(("Content-Encoding", "gzip"),)),
    "compressed, and nothing says so": Case(raw=PACKED),
    "compressed, chunked": Case(raw=PACKED, length=None),
    "at the limit": Case(hooks={"SECRETS": [settings.SECRET], "MAX_BODY_BYTES": len(RAW)}),
    "at the limit, chunked": Case(
        hooks={"SECRETS": [settings.SECRET], "MAX_BODY_BYTES": len(RAW)}, length=None
    ),
    "a byte over the limit": Case(
        hooks={"SECRETS": [settings.SECRET], "MAX_BODY_BYTES": len(RAW) - 1},
        status=413,
        outcome="",
        says="larger",
    ),
    "a byte over the limit, chunked": Case(
        hooks={"SECRETS": [settings.SECRET], "MAX_BODY_BYTES": len(RAW) - 1},
        length=None,
        status=413,
        outcome="",
        says="larger",
    ),
    "announced over the limit": Case(length=LIMIT + 1, status=413, outcome="", says="larger"),
    "announced beyond reason": Case(length=10**18, status=413, outcome="", says="larger"),
    "over the limit": Case(raw=b" " * (LIMIT + 1), status=413, outcome="", says="larger"),
    "a byte short": Case(length=len(RAW) + 1, status=400, outcome="", says="shorter"),
    "nothing of what was announced": Case(
        raw=b"", length=100, status=400, outcome="", says="shorter"
    ),
    "from a socket file": Case(peer=""),
    "from an address with a zone": Case(peer="fe80::1ff:fe23:4567:890a%eth2-of-a-very-long-name-0"),
}


def _acme(**changes: Any) -> Case:
    raw = encode(body(**{"ContextIdentifier": "Cust1"} | changes.pop("wire", {})))
    return Case(**{"raw": raw, "target": ACME, "secret": NEW, "hooks": TENANTS} | changes)


def _foreign(context: Any, **changes: Any) -> Case:
    wire = {"ContextIdentifier": context}
    return _acme(wire=wire, outcome="quarantined", says="tenant", **changes)


_TENANTS = {
    "its own": _acme(),
    "its own, by the old secret": _acme(secret=OLD),
    "by a secret that was removed": _acme(secret="older-acme-" * 5, status=401, outcome="refused"),
    "by another's secret": _acme(secret=GLOBEX, status=401, outcome="refused"),
    "its own secret at another's URL": _acme(
        target="/superoffice/webhook/globex/", status=401, outcome="refused"
    ),
    "its own secret at another's URL, which the body names": _acme(
        target="/superoffice/webhook/globex/",
        wire={"ContextIdentifier": "Cust2"},
        status=401,
        outcome="refused",
    ),
    "the site's key": _acme(secret="tests-only", status=401, outcome="refused"),
    "another": _foreign("Cust2"),
    "another, by the old secret": _foreign("Cust2", secret=OLD),
    "in another case": _foreign("cust1"),
    "with a space": _foreign("Cust1 "),
    "with an accent": _foreign("C\u00fast1"),
    "with a letter of no width": _foreign("Cust1\u200b"),
    "in wide digits": _foreign("Cust\uff11"),
    "empty": _foreign(""),
    "null": _foreign(None),
    "absent": _foreign(...),
    "that of the test": _foreign("Default"),
    "a pattern": _foreign("%"),
    "two in one": _foreign("Cust1,Cust2"),
    "a list of its own": _acme(
        wire={"ContextIdentifier": ["Cust1"]}, outcome="quarantined", says="not a string"
    ),
    "of a test": _acme(raw=TEST, outcome="test"),
    "another's of a test": _acme(wire={"Event": "test"}, outcome="test"),
    "of a test in another case": _foreign("Default", headers=(("X-Hook-Test", "true"),)),
    "at an endpoint that takes none": _acme(
        target=NOBODY, secret=GLOBEX, outcome="quarantined", says="tenant"
    ),
    "of a test at an endpoint that takes none": _acme(
        raw=TEST, target=NOBODY, secret=GLOBEX, outcome="test"
    ),
    "at an endpoint of blank secrets": _acme(
        target="/superoffice/webhook/blank/",
        raw=RAW,
        signatures=lambda right: (_b64(_mac("")), _b64(_mac(" "))),
        status=401,
        outcome="refused",
    ),
    "at an endpoint without secrets": _acme(
        target="/superoffice/webhook/bare/", status=401, outcome="refused"
    ),
    "at no endpoint": _acme(target="/superoffice/webhook/", status=404, outcome=""),
    "at an endpoint of another case": _acme(
        target="/superoffice/webhook/ACME/", status=404, outcome=""
    ),
}

_CONFLICT = {"outcome": "quarantined", "says": "came before"}
_RESPELT = {"outcome": "duplicate"}
_AGAIN = {
    "once": Case(before=(RAW,), outcome="duplicate"),
    "twice": Case(before=(RAW, RAW), outcome="duplicate"),
    "a test": Case(raw=TEST, before=(TEST,), outcome="test"),
    "what is unreadable": Case(
        raw=b"not JSON", before=(b"not JSON",), outcome="quarantined", says="not JSON"
    ),
    "compressed": Case(raw=PACKED, before=(RAW,), **_RESPELT),
    "with a space": Case(raw=RAW + b" ", before=(RAW,), **_RESPELT),
    "in other bytes": Case(raw=RAW.replace(b"Fjordbygg", b"Fjellbygg"), before=(RAW,), **_CONFLICT),
    "by an EventId in capitals": Case(
        raw=RAW.replace(b"0b7c1a52-3a55-4b14", b"0B7C1A52-3A55-4B14"), before=(RAW,), **_RESPELT
    ),
    "for another tenant": Case(raw=RAW.replace(b"Cust24680", b"Cust24681"), before=(RAW,)),
    "for a tenant in another case": Case(
        raw=RAW.replace(b"Cust24680", b"cust24680"), before=(RAW,)
    ),
    "for another record": Case(raw=RAW.replace(b":4711,", b":4712,", 1), before=(RAW,)),
    "for another event": Case(
        raw=RAW.replace(b"contact.changed", b"contact.deleted"), before=(RAW,)
    ),
    "under another EventId": Case(raw=RAW.replace(b"0b7c1a52", b"0b7c1a53"), before=(RAW,)),
    "without EventId": Case(
        raw=encode(body(EventId=...)), before=(encode(body(EventId=...)),), outcome="duplicate"
    ),
    "of the empty EventId, with others between": Case(
        raw=encode(body(EventId=str(UUID(int=0)))),
        before=(encode(body(EventId=str(UUID(int=0)), PrimaryKey=1)), RAW),
    ),
}

REQUESTS: dict[str, Case] = {
    f"{kind}: {name[:80]}": case
    for kind, cases in {
        "method": _METHODS,
        "URL": _URLS,
        "signature": _SIGNATURES,
        "header": _HEADERS,
        "content type": _CONTENT_TYPES,
        "transport": _TRANSPORT,
        "tenant": _TENANTS,
        "again": _AGAIN,
    }.items()
    for name, case in cases.items()
}

BODIES: dict[str, Case] = {f"body: {each.id}": Case(raw=each.values[0]) for each in RECORDED} | {
    f"body: {each.id}": Case(raw=each.values[0], outcome="quarantined", says=each.values[1])
    for each in QUARANTINED
}

CATALOGUE = [pytest.param(case, id=name) for name, case in (REQUESTS | BODIES).items()]
