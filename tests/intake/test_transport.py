"""Everything about a request that is decided before its body is read."""

import io

import pytest
from django.test import Client, RequestFactory, override_settings

from superoffice_hooks.exceptions import BodyError
from superoffice_hooks.intake.view import read_body
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.wire.signature import sign
from tests.builders import URL, body, encode, post

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "url",
    [
        "/superoffice/webhook",
        "/superoffice/webhook/",
        "/superoffice/webhook/default",
        "/superoffice/webhook/default/",
    ],
)
def test_every_form_of_the_url_answers_directly(url):
    assert post(body(), url=url).status_code == 200
    assert Event.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options", "trace"])
def test_only_post_is_a_delivery(method):
    response = getattr(Client(enforce_csrf_checks=True), method)(URL)
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert response.content == b""
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "a; charset=x"])
def test_the_content_type_decides_nothing(content_type, settings):
    raw = encode(body())
    headers = {"X-SuperOffice-Signature": sign(raw, settings.SECRET)}
    response = Client().generic("POST", URL, raw, content_type, headers=headers)
    assert response.status_code == 200
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    "header",
    ["X-SuperOffice-Signature", "x-superoffice-signature", "X-SUPEROFFICE-SIGNATURE"],
)
def test_header_names_in_any_case(header, settings):
    raw = encode(body())
    headers = {header: sign(raw, settings.SECRET)}
    assert Client().post(URL, raw, "application/json", headers=headers).status_code == 200


def test_more_than_django_takes_in_memory_is_taken():
    raw = encode(body(FieldValues={"note": "x" * 3_000_000}))
    assert post(raw).status_code == 200
    assert bytes(Delivery.objects.get().body) == raw


@pytest.mark.parametrize("over", [0, 1], ids=["at the limit", "one byte over"])
def test_the_size_limit_is_exact(over, settings):
    raw = encode(body())
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"MAX_BODY_BYTES": len(raw) - over}
    response = post(raw)
    assert response.status_code == (413 if over else 200)
    assert Delivery.objects.count() == (0 if over else 1)


class Stream(io.BytesIO):
    """A request body that comes in small parts, as from a slow network."""

    def read(self, size=-1):
        return super().read(min(size, 7))


def request(raw, **environ):
    return RequestFactory().generic(
        "POST", URL, b"", **({"wsgi.input": Stream(raw), "CONTENT_LENGTH": str(len(raw))} | environ)
    )


def test_a_body_is_read_to_its_end_however_it_comes():
    assert read_body(request(b"x" * 100), limit=100) == b"x" * 100


def test_fewer_bytes_than_announced_are_400():
    with pytest.raises(BodyError, match="shorter") as caught:
        read_body(request(b"xx", CONTENT_LENGTH="20"), limit=100)
    assert caught.value.status == 400


@pytest.mark.parametrize("announced", ["abc", "-1", "", "9" * 5000, "²"])
def test_a_content_length_that_is_no_number_announces_nothing(announced):
    assert read_body(request(b"", CONTENT_LENGTH=announced), limit=100) == b""


def test_a_chunked_body_is_read_where_the_server_ends_it():
    chunked = request(
        b"x" * 50,
        CONTENT_LENGTH="",
        HTTP_TRANSFER_ENCODING="chunked",
        **{"wsgi.input_terminated": True},
    )
    assert read_body(chunked, limit=100) == b"x" * 50


def test_a_chunked_body_over_the_limit_is_413():
    chunked = request(
        b"x" * 101,
        CONTENT_LENGTH="",
        HTTP_TRANSFER_ENCODING="chunked",
        **{"wsgi.input_terminated": True},
    )
    with pytest.raises(BodyError, match="larger") as caught:
        read_body(chunked, limit=100)
    assert caught.value.status == 413


def test_a_chunked_body_that_the_server_cannot_end_is_400():
    with pytest.raises(BodyError, match="chunked") as caught:
        read_body(request(b"x", HTTP_TRANSFER_ENCODING="chunked"), limit=100)
    assert caught.value.status == 400


def test_a_connection_that_breaks_is_400():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError

    response = Client().generic(
        "POST", URL, b"", **{"wsgi.input": Broken(), "CONTENT_LENGTH": "10"}
    )
    assert response.status_code == 400
    assert not Delivery.objects.exists()


def test_a_body_that_middleware_has_read_is_read_again(settings):
    settings.MIDDLEWARE = ["tests.intake.test_transport.reading_middleware", *settings.MIDDLEWARE]
    assert post(body()).status_code == 200


def reading_middleware(get_response):
    def middleware(request):
        assert request.body
        return get_response(request)

    return middleware


@override_settings(ROOT_URLCONF="tests.urls", APPEND_SLASH=True, DEBUG=True)
def test_debug_changes_no_answer():
    assert post(b"{}").status_code == 200
    assert post(b"{}", signature="no").status_code == 401


def test_no_answer_is_a_page():
    assert post(b"{}", signature="no")["Content-Type"] == "text/plain; charset=utf-8"
