"""Bodies, headers and signatures that hypothesis makes up, through the webhook."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.wire.signature import MAX_SIGNATURES, sign
from tests.builders import body, encode, post
from tests.fuzz.strategies import DAMAGED, HEADER_TEXTS, HEADERS, OBJECTS
from tests.settings import SECRET

pytestmark = pytest.mark.django_db

RAW = encode(body())
RIGHT = sign(RAW, SECRET)


def stored_since(pk):
    return [bytes(delivery.body) for delivery in Delivery.objects.filter(pk__gt=pk).order_by("pk")]


def last_pk():
    return Delivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


@settings(max_examples=300)
@given(OBJECTS | DAMAGED | st.binary())
def test_whatever_is_signed_is_taken_and_stored(raw):
    before = last_pk()
    assert post(raw).status_code == 200
    assert stored_since(before) == [raw]


@settings(max_examples=200)
@given(HEADERS)
def test_no_header_costs_a_signed_delivery(headers):
    before = last_pk()
    sent = {name.replace("-", "_"): value for name, value in headers.items()}
    assert post(RAW, **sent).status_code == 200
    assert stored_since(before) == [RAW]


@settings(max_examples=200)
@given(st.lists(HEADER_TEXTS | st.sampled_from(["", " ", RIGHT, f" {RIGHT}\t"]), max_size=6))
def test_only_the_right_signature_among_the_first_proves_the_sender(candidates):
    signature = ",".join(candidates)
    first = [candidate.strip() for candidate in signature.split(",")[:MAX_SIGNATURES]]
    answer = post(RAW, signature=signature)
    assert answer.status_code == (200 if RIGHT in first else 401)


@settings(max_examples=200)
@given(OBJECTS | DAMAGED, HEADER_TEXTS | st.binary(max_size=40).map(base64.b64encode))
def test_nothing_unsigned_becomes_an_event(raw, signature):
    events = Event.objects.count()
    text = signature.decode() if isinstance(signature, bytes) else signature
    assert post(raw, signature=text).status_code == 401
    assert Event.objects.count() == events
    assert not Delivery.objects.exclude(outcome="refused").exists()
