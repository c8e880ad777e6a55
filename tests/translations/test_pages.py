"""The admin and the demo's front page in the reader's language."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, override_settings
from django.utils import translation
from django.utils.translation import gettext

from project import settings as demo
from superoffice_hooks.models import Event
from tests.builders import body, post
from tests.translations.catalogues import LANGUAGES

RECORD = "/admin/superoffice_hooks/event/record/"
WHICH = {"context_identifier": "Cust24680", "entity": "contact", "primary_key": "4711"}
DATES = {
    "nb": "2. mars 2026",
    "sv": "2 mars 2026",
    "da": "2. marts 2026",
    "de": "2. März 2026",
    "nl": "2 maart 2026",
}

every_language = pytest.mark.parametrize("language", LANGUAGES)


@pytest.fixture
def browse(db, settings):
    """A reader whose browser asks for a language, at a site that listens to it."""
    settings.LANGUAGES = demo.LANGUAGES
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("a", "a@example.com", "a"))

    def get(url, language, query=None):
        answer = client.get(url, query, headers={"Accept-Language": f"{language},en;q=0.5"})
        assert answer.status_code == 200
        return answer.content.decode()

    yield get
    translation.deactivate()


@pytest.fixture
def event(db):
    post(body())
    return Event.objects.get()


def in_(language, *texts):
    """The texts in a language: none of ours is the same in English."""
    with translation.override(language):
        translated = [gettext(text) for text in texts]
    assert not set(translated) & set(texts)
    return translated


@every_language
def test_the_page_of_a_record(browse, event, language):
    page = browse(RECORD, language, WHICH)
    assert f'<html lang="{language}"' in page
    for text in in_(language, "Timeline", "Around this record", "SuperOffice audit trail"):
        assert text in page
    assert DATES[language] in page


@every_language
def test_the_list_and_the_page_of_events(browse, event, language):
    page = browse("/admin/superoffice_hooks/event/", language)
    [heading] = in_(language, "events")
    assert heading.lower() in page.lower()
    assert DATES[language] in page
    page = browse(f"/admin/superoffice_hooks/event/{event.pk}/change/", language)
    for text in in_(language, "What changed", "Received at"):
        assert text in page


@every_language
def test_a_deliverys_outcome(browse, event, language):
    page = browse("/admin/superoffice_hooks/delivery/", language)
    [outcome] = in_(language, "recorded")
    assert outcome in page
    assert '="recorded"' not in page.replace('value="recorded"', "")


@every_language
def test_the_overview(browse, event, language):
    page = browse("/admin/superoffice_hooks/", language)
    for text in in_(language, "Deliveries by outcome", "The numbers as a table"):
        assert text in page
    assert "100,0" in page
    assert "100.0" not in page


def test_a_language_that_nobody_translated_is_english(browse, event):
    assert "Timeline" in browse(RECORD, "fr", WHICH)


@pytest.fixture
def front(db):
    """The demo site for somebody who did not log in."""
    with override_settings(
        ROOT_URLCONF=demo.ROOT_URLCONF,
        MIDDLEWARE=demo.MIDDLEWARE,
        TEMPLATES=demo.TEMPLATES,
        LANGUAGES=demo.LANGUAGES,
        LOCALE_PATHS=demo.LOCALE_PATHS,
    ):
        yield Client(enforce_csrf_checks=True)
    translation.deactivate()


@every_language
def test_the_front_page_follows_the_browser(front, language):
    page = front.get("/", headers={"Accept-Language": language}).content.decode()
    assert f'<html lang="{language}"' in page
    assert in_(language, "A week of a made-up CRM, as its webhook told it.")[0] in page


@every_language
def test_a_reader_chooses_another_language_on_the_front_page(front, language):
    page = front.get("/?from=a+mail").content.decode()
    assert '<html lang="en"' in page
    [action] = re.findall('<form method="post" action="(.*?)"', page)
    fields = dict(re.findall('name="(csrfmiddlewaretoken|next)" value="(.*?)"', page))
    assert fields["next"] == "/?from=a+mail"
    assert f'<button name="language" value="{language}" lang="{language}">' in page
    answer = front.post(action, fields | {"language": language})
    assert (answer.status_code, answer["Location"]) == (302, "/?from=a+mail")
    assert f'<html lang="{language}"' in front.get("/").content.decode()
    assert f'<html lang="{language}"' in front.get("/admin/", follow=True).content.decode()
