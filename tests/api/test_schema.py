"""``api/schema/``: whether it says what the API does, by itself and in the schema of a site."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from django.core.management import call_command
from django.test import override_settings
from django.urls import clear_script_prefix, include, path, set_script_prefix
from drf_spectacular.validation import validate_schema
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from superoffice_hooks import __version__
from superoffice_hooks.api import schema
from superoffice_hooks.api.filters import DeliveryFilter, EventFilter, UnorderedEventFilter
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, post
from tests.payloads import PAYLOADS

API = "/superoffice/api/"
URL = f"{API}schema/"
ROOT = Path(__file__).parents[2]

FILTERED = {
    "events/": EventFilter,
    "events/follow/": UnorderedEventFilter,
    "events/export.csv": EventFilter,
    "events/export.ndjson": EventFilter,
    "events/manifest/": EventFilter,
    "summary/": UnorderedEventFilter,
    "deliveries/": DeliveryFilter,
    "deliveries/export.csv": DeliveryFilter,
    "deliveries/export.ndjson": DeliveryFilter,
    "deliveries/manifest/": DeliveryFilter,
}
PAGED = {"cursor", "page_size"}
OTHERS = {
    "events/": PAGED,
    "events/follow/": PAGED,
    "events/export.csv": {"cursor", "until"},
    "events/export.ndjson": {"cursor", "until"},
    "events/manifest/": {"until"},
    "summary/": set(),
    "deliveries/": PAGED,
    "deliveries/export.csv": {"cursor", "until"},
    "deliveries/export.ndjson": {"cursor", "until"},
    "deliveries/manifest/": {"until"},
}


@pytest.fixture(autouse=True)
def forgotten():
    """The schema is made once; each test makes it anew."""
    schema.describe.cache_clear()
    yield
    schema.describe.cache_clear()


@pytest.fixture
def described(reader):
    return reader.get(URL).json()


@pytest.fixture
def trail():
    for wire in PAYLOADS:
        post(wire)


def operations(described):
    """Each operation with its path below ``api/``."""
    for address, methods in described["paths"].items():
        assert list(methods) == ["get"]
        yield address.removeprefix(API), methods["get"]


def parameters(operation, *places):
    return {it["name"]: it for it in operation["parameters"] if it["in"] in places}


def example(parameter):
    [shown] = parameter["examples"].values()
    return shown["value"]


def resolved(described, part):
    """The schema with its components beside it, as jsonschema wants it."""
    text = json.dumps({**part, "components": described["components"]})
    whole = json.loads(text)

    def strict(node):
        if isinstance(node, dict):
            if node.pop("nullable", False):
                return {"anyOf": [strict(node), {"type": "null"}]}
            return {name: strict(value) for name, value in node.items()}
        return [strict(item) for item in node] if isinstance(node, list) else node

    return strict(whole)


@pytest.mark.django_db
class TestTheSchema:
    def test_is_valid_and_made_without_warnings(self, described, capsys):
        validate_schema(described)
        assert capsys.readouterr().err == ""
        assert described["info"]["version"] == __version__

    def test_has_every_resource_and_nothing_else_of_the_site(self, described):
        tags = {tag for _, operation in operations(described) for tag in operation["tags"]}
        assert tags == {"events", "deliveries", "records", "summary"}
        record = "records/{context_identifier}/{entity}/{primary_key}/"
        assert {path for path, _ in operations(described)} == {
            *FILTERED,
            "events/{id}/",
            "events/choices/",
            "deliveries/{id}/",
            "records/",
            "records/related/",
            record,
            f"{record}related/",
        }

    def test_says_what_each_operation_and_parameter_is_for(self, described):
        names = [operation["operationId"] for _, operation in operations(described)]
        assert len(set(names)) == len(names)
        for _, operation in operations(described):
            assert operation["summary"]
            assert operation["description"].startswith(operation["summary"].split("\n")[0][:20])
            assert operation["security"] == [{"cookieAuth": []}, {"basicAuth": []}]
            for parameter in operation["parameters"]:
                assert parameter["description"], parameter
                jsonschema.validate(example(parameter), parameter["schema"])

    @pytest.mark.parametrize("resource", FILTERED)
    def test_has_the_parameters_of_the_filters_and_no_others(self, described, resource):
        [operation] = [it for found, it in operations(described) if found == resource]
        filters = set(FILTERED[resource].base_filters)
        assert set(parameters(operation, "query")) == filters | OTHERS[resource]

    def test_says_which_parameters_are_needed(self, described):
        record = ["context_identifier", "entity", "primary_key"]
        for resource, operation in operations(described):
            needed = [it["name"] for it in operation["parameters"] if it.get("required")]
            in_path = re.findall(r"{(\w+)}", resource)
            assert needed == (in_path or (record if resource.startswith("records/") else []))

    def test_says_which_statuses_can_occur(self, described):
        for resource, operation in operations(described):
            possible = {"200", "400", "401", "403", "429"}
            if "export" not in resource:
                possible |= {"304"}
            if "{" in resource or resource.startswith("records/"):
                possible |= {"404"}
            if re.search("follow|export|manifest", resource):
                possible |= {"503"}
            answers = operation["responses"]
            assert set(answers) == possible
            assert all(answer["description"] for answer in answers.values())
            for status in possible & {"429", "503"}:
                assert "Retry-After" in answers[status]["headers"]

    def test_knows_that_large_integers_are_strings(self, described, reader, trail):
        post(body(PrimaryKey=2**63 - 1))
        event = Event.objects.get(primary_key=2**63 - 1)
        told = reader.get(f"{API}events/{event.pk}/").json()
        assert told["primary_key"] == str(2**63 - 1)
        part = {"$ref": "#/components/schemas/SuperOfficeEvent"}
        jsonschema.validate(told, resolved(described, part))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(told | {"primary_key": 0.5}, resolved(described, part))


@pytest.mark.django_db(transaction=True)
class TestItsExamples:
    def addresses(self, described, row):
        """Each operation with each of its examples alone, and with all of them at once."""
        for resource, operation in operations(described):
            place = {name: example(it) for name, it in parameters(operation, "path").items()}
            place |= {"id": row[resource.partition("/")[0]]} if "id" in place else {}
            url = API + resource.format(**{name: quote(str(it)) for name, it in place.items()})
            query = parameters(operation, "query")
            needed = {name: example(it) for name, it in query.items() if it.get("required")}
            yield operation, url, needed
            for name, parameter in query.items():
                yield operation, url, needed | {name: example(parameter)}
            yield operation, url, {name: example(it) for name, it in query.items()}

    def test_are_answered(self, described, reader, trail):
        row = {"events": Event.objects.first().pk, "deliveries": Delivery.objects.first().pk}
        asked = 0
        for operation, url, query in self.addresses(described, row):
            separate = {
                name: value
                if parameters(operation, "query")[name].get("explode", True)
                else ",".join(value)
                for name, value in query.items()
            }
            if "until" in parameters(operation, "query"):
                separate.pop("cursor", None)  # that of an export is the place of a row
            address = f"{url}?{urlencode(separate, doseq=True)}"
            answer = reader.get(address)
            content = getattr(answer, "content", None) or b"".join(answer.streaming_content)
            assert answer.status_code == 200, (address, content)
            asked += 1
        assert asked > 150

    def test_together_select_the_event_that_they_tell_of(self, described, reader, trail):
        [operation] = [it for found, it in operations(described) if found == "events/"]
        query = {
            name: example(it)
            for name, it in parameters(operation, "query").items()
            if not name.endswith(("__in", "_value"))
        }
        [found] = reader.get(f"{API}events/?{urlencode(query, doseq=True)}").json()["results"]
        shown = operation["responses"]["200"]["content"]["application/json"]["examples"]
        [[told]] = [it["value"]["results"] for it in shown.values()]
        own = {"id": found["id"], "received_at": found["received_at"]}
        assert found == told | own

    def test_of_errors_are_what_is_answered(self, described, reader, trail):
        [operation] = [it for found, it in operations(described) if found == "events/"]
        answers = operation["responses"]

        def shown(status):
            [it] = answers[status]["content"]["application/json"]["examples"].values()
            return it["value"]

        assert reader.get(f"{API}events/?page_size=1000").json() == shown("400")
        reader.logout()
        assert reader.get(f"{API}events/").json() == shown("401")


@pytest.mark.django_db
class TestWhoMayReadIt:
    @pytest.mark.parametrize("url", [URL, f"{URL}docs/", f"{URL}docs/script.js"])
    def test_those_who_may_read_events(self, client, reader, django_user_model, url):
        assert reader.get(url).status_code == 200
        client.logout()
        assert client.get(url).status_code in (401, 403)
        client.force_login(django_user_model.objects.create_user("nobody"))
        assert client.get(url).status_code == 403

    @pytest.mark.parametrize("url", [URL, f"{URL}docs/"])
    def test_who_has_it_already_is_told_so(self, reader, url):
        tag = reader.get(url)["ETag"]
        assert reader.get(url, headers={"If-None-Match": tag}).status_code == 304

    @pytest.mark.parametrize("query", ["lang=de", "lang=%00", "version=1", "format=yaml"])
    def test_nothing_can_be_asked_of_it(self, reader, query):
        assert reader.get(f"{URL}?{query}").status_code == 400


class OwnSerializer(Serializer):
    class Meta:
        ref_name = "Event"


class OwnView(APIView):
    """A view of the site's own."""

    serializer_class = OwnSerializer
    schema = schema.AutoSchema()

    def get(self, request):
        """Answer."""


class Prefixed:
    urlpatterns = (
        path("own/", OwnView.as_view()),
        path("sites/<slug:site>/crm/", include("superoffice_hooks.urls")),
    )


@pytest.mark.django_db
class TestInASite:
    def test_the_command_of_drf_spectacular_has_nothing_to_say(self, capsys, tmp_path):
        file = tmp_path / "schema.yaml"
        call_command("spectacular", validate=True, fail_on_warn=True, file=str(file))
        assert capsys.readouterr().err == ""
        assert f"{API}events/{{id}}/:" in file.read_text()

    def test_its_paths_are_where_the_site_has_them(self):
        with override_settings(ROOT_URLCONF=Prefixed):
            paths = schema.describe("/")["paths"]
        assert "/sites/{site}/crm/api/events/" in paths
        assert not any(path.startswith("/own/") for path in paths)

    def test_a_site_below_a_path_is_its_server(self, reader):
        assert "servers" not in reader.get(URL).json()
        try:
            set_script_prefix("/crm/")
            told = reader.get(URL).json()
        finally:
            clear_script_prefix()
        assert told["servers"] == [{"url": "/crm"}]
        assert f"{API}events/" in told["paths"]


SITE = """
import sys
from tests.settings import *
{settings}
"""
ASK = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
client = Client()
client.force_login(get_user_model().objects.create_superuser("auditor"))
{code}
"""


@pytest.fixture
def ask(tmp_path):
    """Runs code in a process of a site with other settings; gives what it prints."""

    def ask(settings, code):
        (tmp_path / "site_settings.py").write_text(SITE.format(settings=settings))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", ASK.format(code=code)],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
            | {
                "DJANGO_SETTINGS_MODULE": "site_settings",
                "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
                "TEST_DATABASE_FOLDER": str(tmp_path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return ask


def test_the_app_works_without_the_extra(ask):
    settings = """
INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith("drf_spectacular")]
sys.modules["drf_spectacular"] = sys.modules["drf_spectacular_sidecar"] = None
"""
    code = """
call_command("check", fail_level="WARNING")
for path in ("events/", "summary/", "schema/", "schema/docs/"):
    print(path, client.get(f"/superoffice/api/{path}").status_code)
"""
    assert ask(settings, code).splitlines()[-4:] == [
        "events/ 200",
        "summary/ 200",
        "schema/ 404",
        "schema/docs/ 404",
    ]


def test_without_swagger_uis_files_there_is_no_page(ask):
    settings = 'INSTALLED_APPS.remove("drf_spectacular_sidecar")'
    code = """
for path in ("schema/", "schema/docs/"):
    print(path, client.get(f"/superoffice/api/{path}").status_code)
"""
    assert ask(settings, code).splitlines() == ["schema/ 200", "schema/docs/ 404"]


def test_what_the_site_sets_for_its_own_api_changes_nothing(ask, described_here):
    settings = """
LANGUAGE_CODE = "de"
REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.openapi.AutoSchema",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
    "ALLOWED_VERSIONS": ["v1"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Own",
    "VERSION": "9",
    "OAS_VERSION": "3.1.1",
    "SERVE_PUBLIC": False,
    "CAMELIZE_NAMES": True,
    "SCHEMA_PATH_PREFIX_INSERT": "/own",
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    "POSTPROCESSING_HOOKS": [],
}
"""
    code = """
print(client.get("/superoffice/api/schema/").content.decode())
"""
    assert json.loads(ask(settings, code)) == described_here


@pytest.fixture
def described_here(admin_client):
    return admin_client.get(URL).json()
