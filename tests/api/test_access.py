"""Every resource of the API: who may read it, how often, in which form, and that nobody writes."""

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.urls import resolve
from rest_framework.throttling import ScopedRateThrottle, UserRateThrottle

from superoffice_hooks.api.base import TrailView
from superoffice_hooks.api.urls import urlpatterns
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from tests.builders import body, post

API = "/superoffice/api/"
ROWS = (Event, ChangedField, DeletedValue, RelatedRecord, Delivery)

RESOURCES = {
    "events": "events/",
    "an event": "events/{event}/",
    "follow": "events/follow/",
    "choices": "events/choices/",
    "events as CSV": "events/export.csv",
    "events as NDJSON": "events/export.ndjson",
    "manifest of events": "events/manifest/",
    "deliveries": "deliveries/",
    "a delivery": "deliveries/{delivery}/",
    "deliveries as CSV": "deliveries/export.csv",
    "deliveries as NDJSON": "deliveries/export.ndjson",
    "manifest of deliveries": "deliveries/manifest/",
    "a record": "records/Mine/contact/4711/",
    "a record by query": "records/?context_identifier=Mine&entity=contact&primary_key=4711",
    "around a record": "records/Mine/contact/4711/related/",
    "around a record by query": (
        "records/related/?context_identifier=Mine&entity=contact&primary_key=4711"
    ),
    "summary": "summary/",
}
STREAMED = {name: path for name, path in RESOURCES.items() if "export" in path}
JSON = {name: path for name, path in RESOURCES.items() if name not in STREAMED}

pytestmark = pytest.mark.django_db

# REST framework rolls back after an error where the site has ATOMIC_REQUESTS, and the views that
# are no transaction would take the test's.
goes_on_after_an_error = pytest.mark.django_db(transaction=True)
each = pytest.mark.parametrize("path", RESOURCES.values(), ids=RESOURCES)


@pytest.fixture
def stored():
    """One event of a tenant, with its delivery; gives the path of a resource."""
    post(body(ContextIdentifier="Mine", Values={"contact_id": 4711, "person_id": 1}))
    keys = {"event": Event.objects.get().pk, "delivery": Delivery.objects.get().pk}
    return lambda path: API + path.format(**keys)


def test_no_resource_is_forgotten_here():
    paths = [path.format(event=1, delivery=1).partition("?")[0] for path in RESOURCES.values()]
    tested = {resolve(API + path).url_name for path in paths}
    assert {pattern.name for pattern in urlpatterns if "schema" not in pattern.name} == tested


@goes_on_after_an_error
@each
def test_nobody_reads_without_a_login(client, stored, path):
    for method in (client.get, client.head, client.options):
        assert method(stored(path)).status_code in (401, 403)


@goes_on_after_an_error
@each
def test_nobody_reads_without_the_permission_for_these_rows(
    client, django_user_model, stored, path
):
    user = django_user_model.objects.create_user("clerk", is_staff=True)
    other = "view_event" if "deliver" in path else "view_delivery"
    user.user_permissions.add(Permission.objects.get(codename=other))
    client.force_login(user)
    for method in (client.get, client.head, client.options):
        assert method(stored(path)).status_code == 403


@each
def test_whoever_has_it_reads(reader, stored, path):
    assert reader.get(stored(path)).status_code == 200


@goes_on_after_an_error
@each
def test_nobody_writes(admin_client, stored, path):
    before = [list(model.objects.values()) for model in ROWS]
    for method in ("post", "put", "patch", "delete", "trace"):
        data = {} if method == "trace" else {"data": '{"name": "x"}'}
        answer = getattr(admin_client, method)(
            stored(path), content_type="application/json", **data
        )
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert before == [list(model.objects.values()) for model in ROWS]


@each
def test_an_unknown_parameter_is_refused(reader, stored, path):
    path = stored(path)
    answer = reader.get(f"{path}{'&' if '?' in path else '?'}color=red")
    assert (answer.status_code, list(answer.json())) == (400, ["color"])
    assert answer["Content-Type"] == "application/json"


@each
def test_whatever_is_accepted_the_form_is_the_same(reader, stored, path):
    plain = reader.get(stored(path))
    for accept in ("application/json", "text/html", "text/csv", "image/png"):
        answer = reader.get(stored(path), headers={"accept": accept})
        assert (answer.status_code, answer["Content-Type"]) == (200, plain["Content-Type"])


@each
def test_head_answers_like_get_without_a_body(reader, stored, path):
    get, head = reader.get(stored(path)), reader.head(stored(path))
    assert (head.status_code, b"".join(head)) == (200, b"")
    # These have the time in them.
    differ = {"Content-Disposition"} if path in STREAMED.values() else set()
    if path in ("summary/", "events/manifest/", "deliveries/manifest/"):
        differ = {"ETag", "Content-Length"}
    told = [{k: v for k, v in answer.items() if k not in differ} for answer in (head, get)]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "path", [path for path in JSON.values() if "manifest" not in path and path != "summary/"]
)
def test_what_is_known_is_not_sent_again(reader, stored, path):
    path = stored(path)
    first = reader.get(path)
    for tag, status in ((first["ETag"], 304), ("*", 304), ('"another"', 200)):
        again = reader.get(path, headers={"if-none-match": tag})
        assert (again.status_code, again["ETag"]) == (status, first["ETag"])
        assert again.content == (b"" if status == 304 else first.content)
        head = reader.head(path, headers={"if-none-match": tag})
        assert (head.status_code, head["ETag"]) == (status, first["ETag"])


@each
def test_no_cache_between_keeps_an_answer(reader, stored, path):
    control = reader.get(stored(path))["Cache-Control"]
    assert control == ("no-store" if path in STREAMED.values() else "private, no-cache")


class TestHowOften:
    @pytest.fixture(autouse=True)
    def rates(self, settings):
        def rates(**rates):
            settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": rates}

        cache.clear()
        yield rates
        cache.clear()

    @goes_on_after_an_error
    def test_is_limited_by_the_sites_own_throttles_too(self, reader, stored, monkeypatch):
        class Twice(UserRateThrottle):
            rate = "2/hour"

        monkeypatch.setattr(TrailView, "throttle_classes", [Twice])
        answers = [reader.get(stored("events/")) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]

    def test_a_sites_scoped_throttle_is_not_about_these(self, reader, stored, monkeypatch):
        monkeypatch.setattr(TrailView, "throttle_classes", [ScopedRateThrottle])
        assert reader.get(stored("events/")).status_code == 200

    @each
    def test_is_not_limited_where_the_site_sets_no_rate(self, reader, stored, path):
        assert {reader.get(stored(path)).status_code for _ in range(12)} == {200}

    @goes_on_after_an_error
    @pytest.mark.parametrize(
        ("scope", "path"),
        [
            ("superoffice_events", "events/"),
            ("superoffice_events", "events/choices/"),
            ("superoffice_follow", "events/follow/"),
            ("superoffice_export", "events/export.csv"),
            ("superoffice_export", "deliveries/manifest/"),
            ("superoffice_deliveries", "deliveries/"),
            ("superoffice_records", "records/Mine/contact/4711/"),
            ("superoffice_summary", "summary/"),
        ],
    )
    def test_is_limited_by_the_rate_of_the_scope(self, reader, stored, rates, scope, path):
        rates(**{scope: "2/hour"})
        answers = [reader.get(stored(path)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[2]["Retry-After"]) > 0
        other = "summary/" if scope != "superoffice_summary" else "events/"
        assert reader.get(stored(other)).status_code == 200
