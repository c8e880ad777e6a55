"""Bodies in their column: smaller than they came, and the same bytes when they are read."""

import hashlib

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from superoffice_hooks.models import Delivery
from superoffice_hooks.wire.packed import _WORDS, LARGEST_PACKED, pack, unpack
from tests.builders import body, encode, post
from tests.payloads import IDS, PAYLOADS

BODIES = {
    "empty": b"",
    "one byte": b"x",
    "looks packed": b"\x01abc",
    "no text": bytes(range(256)),
    "not to be packed": hashlib.shake_128(b"noise").digest(300),
    "the largest": b"{" + b" " * (LARGEST_PACKED - 2) + b"}",
    "larger": b"{" + b" " * (LARGEST_PACKED - 1) + b"}",
    "much larger": b"[" * 300_000,
}


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES)
def test_the_bytes_come_back(raw):
    assert unpack(pack(raw)) == raw
    assert len(pack(raw)) <= len(raw) + 1


@given(st.binary(max_size=2 * LARGEST_PACKED))
def test_any_bytes_come_back(raw):
    assert unpack(pack(raw)) == raw


@pytest.mark.parametrize("wire", PAYLOADS, ids=IDS)
def test_what_superoffice_sends_is_packed_to_less_than_half(wire):
    raw = encode(wire)
    assert len(pack(raw)) < (len(raw) / 2 if len(raw) > 300 else len(raw) * 0.7)


def test_no_letter_of_the_words_may_change():
    # Every body that is stored needs them to be read.
    assert hashlib.sha256(_WORDS).hexdigest() == (
        "aef661418202920bb2fec47620cc6e99dd19dd9fb96bb58b2da5938846aaa60c"
    )


@pytest.mark.parametrize(
    ("stored", "raw"),
    [
        (
            "01e04a0205434e70a03c851e7f8828478e3f137343c35a00",
            b'{"EventId":"1","Event":"contact.changed","PrimaryKey":4711}',
        ),
        ("00616263", b"abc"),
    ],
    ids=["packed", "plain"],
)
def test_what_was_stored_once_is_read_ever_after(stored, raw):
    assert unpack(bytes.fromhex(stored)) == raw


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\x02abc",
        b"\x01",
        b"\x01\xff\xff",
        pack(encode(body()))[:-3],
        pack(encode(body())) + b"x",
    ],
    ids=["empty", "later release", "nothing", "no deflate", "cut", "longer"],
)
def test_damaged_bytes_are_an_error(stored):
    with pytest.raises(ValueError, match=r"^The stored body is damaged"):
        unpack(stored)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "raw", [encode(body()), encode(body(Own="x" * LARGEST_PACKED))], ids=["small", "large"]
)
def test_the_column_holds_the_packed_bytes_and_finds_them(raw):
    post(raw)
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM superoffice_hooks_delivery")
        assert bytes(cursor.fetchone()[0]) == pack(raw)
    assert Delivery.objects.get(body=raw).body == raw
    assert Delivery.objects.get(body__in=[raw]) == Delivery.objects.get()
    assert not Delivery.objects.filter(body=b"other").exists()


@pytest.mark.parametrize("place", range(1, 12))
def test_a_bit_that_is_turned_is_noticed(place):
    stored = bytearray(pack(encode(body())))
    stored[place] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        unpack(bytes(stored))


@pytest.mark.django_db
def test_a_damaged_body_hides_no_other(caplog):
    for number in range(3):
        post(body(PrimaryKey=number))
    first, second, third = Delivery.objects.order_by("pk")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE superoffice_hooks_delivery SET body = %s WHERE id = %s", [b"\x02x", second.pk]
        )
    caplog.clear()
    bodies = [delivery.body for delivery in Delivery.objects.order_by("pk")]
    assert bodies == [first.body, b"\x02x", third.body]
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "damaged" in record.getMessage()
