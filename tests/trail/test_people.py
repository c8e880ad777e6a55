"""Who an associate is: what the site says, asked once, and never a page's undoing."""

import logging

import pytest

from superoffice_hooks.trail.people import Associate, People

CONTEXT = "Cust1"


class Site:
    """A site's own code, and what it was asked."""

    def __init__(self, answer=None):
        self.answer = answer
        self.asked = []

    def __call__(self, *question):
        self.asked.append(question)
        return self.answer(*question) if callable(self.answer) else self.answer


def fails(*question):
    raise LookupError("the site's own words")


class Unreadable:
    def __str__(self):
        raise LookupError("the site's own words")


def people(settings, **keys):
    settings.SUPEROFFICE_HOOKS = keys
    return People()


def test_without_settings_an_associate_is_a_number(settings):
    assert people(settings)(CONTEXT, 7) == Associate(CONTEXT, 7, None, False)


def test_the_site_names_an_associate_and_is_asked_once(settings):
    names = Site(lambda context, number: f"{number} of {context}")
    programs = Site(lambda context: [7] if context == CONTEXT else ())
    ask = people(settings, ASSOCIATE_NAME=names, INTEGRATION_USERS=programs)
    for _ in range(3):
        assert ask(CONTEXT, 7) == Associate(CONTEXT, 7, "7 of Cust1", True)
        assert ask(CONTEXT, 8) == Associate(CONTEXT, 8, "8 of Cust1", False)
        assert ask("Cust2", 7) == Associate("Cust2", 7, "7 of Cust2", False)
    assert names.asked == [(CONTEXT, 7), (CONTEXT, 8), ("Cust2", 7)]
    assert programs.asked == [(CONTEXT,), ("Cust2",)]


@pytest.mark.parametrize("answer", [None, "", 0])
def test_whom_the_site_does_not_know_has_no_name_and_is_not_asked_for_again(settings, answer):
    names = Site(answer)
    ask = people(settings, ASSOCIATE_NAME=names)
    assert [ask(CONTEXT, 7).name for _ in range(2)] == [None, None]
    assert names.asked == [(CONTEXT, 7)]


def test_a_name_is_text(settings):
    assert people(settings, ASSOCIATE_NAME=Site(12))(CONTEXT, 7).name == "12"


def test_the_system_is_nobody_and_its_name_is_not_asked_for(settings):
    names = Site("Kari Nordmann")
    system = people(settings, ASSOCIATE_NAME=names)(CONTEXT, 0)
    assert system.is_system
    assert system.name is None
    assert names.asked == []
    assert not people(settings)(CONTEXT, 1).is_system


@pytest.mark.parametrize(
    "names", [fails, Site(Unreadable()), lambda: "no parameters"], ids=["fails", "no text", "odd"]
)
def test_a_site_that_fails_to_name_is_logged_and_costs_a_name_alone(settings, caplog, names):
    ask = people(settings, ASSOCIATE_NAME=names, INTEGRATION_USERS={CONTEXT: [7]})
    assert [ask(CONTEXT, 7) for _ in range(2)] == [Associate(CONTEXT, 7, None, True)] * 2
    [record] = caplog.records
    assert (record.name, record.levelno) == ("superoffice_hooks.trail", logging.ERROR)
    assert record.getMessage() == "ASSOCIATE_NAME failed for associate 7."
    assert record.exc_info


@pytest.mark.parametrize(
    "programs", [fails, Site(None), Site(7), Site([[7]])], ids=["fails", "None", "a number", "odd"]
)
def test_a_site_that_fails_to_list_its_programs_is_logged_once(settings, caplog, programs):
    ask = people(settings, ASSOCIATE_NAME=Site("Kari"), INTEGRATION_USERS=programs)
    assert ask("Cust1\nforged", 7) == Associate("Cust1\nforged", 7, "Kari", False)
    assert ask("Cust1\nforged", 8).is_integration is False
    [record] = caplog.records
    assert record.getMessage() == r"INTEGRATION_USERS failed for the tenant 'Cust1\nforged'."
    assert record.levelno == logging.ERROR


@pytest.mark.parametrize(
    "programs",
    [{CONTEXT: [7]}, "tests.test_conf.programs_of", lambda context: iter([7])],
    ids=["a dict", "a dotted path", "an iterator"],
)
def test_programs_are_told_from_people(settings, programs):
    ask = people(settings, INTEGRATION_USERS=programs)
    assert [ask(CONTEXT, number).is_integration for number in (7, 8, 7)] == [True, False, True]


def test_a_dotted_path_names_associates(settings):
    ask = people(settings, ASSOCIATE_NAME="tests.test_conf.name_of")
    assert ask(CONTEXT, 7).name == "Associate 7 of Cust1"
