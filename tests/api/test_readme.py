"""The README's examples of the API do what it says."""

import json
import re
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from superoffice_hooks.models import Event
from superoffice_hooks.samples import week
from tests.builders import body, post

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SITE = "https://crm.example.com"
API = README[README.index("## API") : README.index("## Operations")]


class EnoughError(Exception):
    """The recipe goes on for ever."""


@pytest.fixture
def passwords(django_user_model, settings):
    django_user_model.objects.create_superuser("user", password="password")
    return ("user", "password")


@pytest.mark.django_db(transaction=True)
def test_the_recipe_to_follow_the_trail(live_server, passwords, monkeypatch, tmp_path, capsys):
    [recipe] = re.findall(r"```python\n(import json, time.*?)```", API, re.DOTALL)
    recipe = recipe.replace(SITE, live_server.url)
    slept = []

    def sleep(seconds, pause=time.sleep):
        if not seconds:  # whoever stores a delivery gives way so
            return pause(0)
        slept.append(seconds)
        if len(slept) == 3:
            raise EnoughError
        post(body(PrimaryKey=100 + len(slept)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", sleep)
    for key in range(60):
        post(body(PrimaryKey=key))
    for begin, expected in ((0, [*range(60), 101, 102]), (1, [101, 102])):
        slept.clear()
        if begin:
            capsys.readouterr()
        with pytest.raises(EnoughError):
            exec(compile(recipe, "README.md", "exec"), {"requests": requests})
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [event["primary_key"] for event in printed] == expected


@pytest.mark.django_db(transaction=True)
def test_the_line_that_exports(live_server, passwords):
    [line] = re.findall(r"^curl -u (?!demo).*export.*$", API, re.MULTILINE)
    login, url = shlex.split(line)[2], shlex.split(line)[-1]
    post(body())
    post(body(Entity="sale", Event="sale.sold"))
    url = url.replace(SITE, live_server.url)
    answer = requests.get(url, auth=tuple(login.split(":")), timeout=10)
    assert [json.loads(line)["entity"] for line in answer.text.splitlines()] == ["contact"]


@pytest.mark.django_db
def test_the_question_of_the_first_page(admin_client):
    [url] = re.findall(r"\$ curl -u demo:demo 'http://127.0.0.1:8000(.*)'", README)
    for sample in week(300, 1, datetime.now(UTC)):
        post(sample.body, **{name.replace("-", "_"): text for name, text in sample.headers.items()})
    path, query = urlsplit(url).path, dict(parse_qsl(urlsplit(url).query))
    renamed = Event.objects.changing("name").filter(entity="contact").values("primary_key")
    query["primary_key"] = renamed[0]["primary_key"]
    found = admin_client.get(path, query).json()["results"]
    shown = README[README.index(url) : README.index("## See it")]
    for event in found:
        assert "name" in event["changed_fields"]
        assert all(f'"{key}"' in shown for key in event)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    sorted(set(re.findall(r"`((?:field|deleted)_value=[^`]+)`", API))),
)
def test_the_values_that_filters_are_shown_with(admin_client, query):
    post(body(PrimaryKey=4711))
    name, value = query.split("=")
    beside = {} if value.endswith(("21", "994863")) else {"primary_key": 4711}
    answer = admin_client.get("/superoffice/api/events/", {name: value} | beside)
    assert answer.status_code == 200
    assert (answer.json()["results"] != []) == ("orgNr" in value)


PATHS = re.findall(r"`([a-z]+/[^`?]*(?:\?[^`…]+)?)`", API[: API.index("**Filters**")])


@pytest.mark.django_db
@pytest.mark.parametrize("path", sorted({path for path in PATHS if "schema" not in path}))
def test_every_address_answers(admin_client, path):
    post(body(ContextIdentifier="", Values={"contact_id": 1}))
    event = Event.objects.get()
    filled = path.replace("{id}", str(event.pk)).replace("{context}", "Cust1")
    filled = filled.replace("{entity}", "contact").replace("{primary_key}", "4711")
    if "deliveries" in path:
        filled = path.replace("{id}", str(event.deliveries.get().pk))
    status = 404 if filled.startswith("records/Cust1/contact/4711/") else 200
    answer = admin_client.get(f"/superoffice/api/{filled}")
    assert answer.status_code in (status, 200), (filled, answer.content)
