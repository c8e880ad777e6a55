"""The settings: what each key may be, and that it is read when it is needed."""

import enum

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from superoffice_hooks.conf import Endpoint, RefusedSample, conf
from superoffice_hooks.wire.catalog import TECHNICAL_FIELDS
from tests.builders import body, post

NEW, OLD = "new-" * 8, "old-" * 8


def find(name):
    """A site that keeps its endpoints elsewhere."""
    return Endpoint(name, (NEW,), frozenset({"Cust24680"})) if name == "elsewhere" else None


def sees_nothing(user):
    return []


def name_of(context_identifier, associate_id):
    return f"Associate {associate_id} of {context_identifier}"


def programs_of(context_identifier):
    return [7] if context_identifier == "Cust1" else []


def test_without_the_setting_there_is_no_endpoint_and_every_other_key_has_its_default(settings):
    del settings.SUPEROFFICE_HOOKS
    assert conf.endpoints == {}
    assert conf.endpoint("default") is None
    assert conf.max_body_bytes == 10 * 1024 * 1024
    assert conf.contexts_for_user(object()) is None
    assert conf.associate_name("Cust1", 7) is None
    assert list(conf.integration_users("Cust1")) == []
    assert conf.record_urls == {}
    assert conf.technical_fields == TECHNICAL_FIELDS
    assert conf.spool_dir is None
    assert conf.store_timeout == 0.8
    assert conf.refused_sample == RefusedSample(1000, 16 * 1024 * 1024, 30)


def test_plain_secrets_are_the_endpoint_default_for_any_tenant(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW, OLD]}
    assert conf.endpoint("default") == Endpoint("default", (NEW, OLD), None)
    assert conf.endpoint("default").takes("Cust1")
    assert conf.endpoint("another") is None


def test_each_endpoint_has_its_own_secrets_and_takes_its_own_tenants(settings):
    settings.SUPEROFFICE_HOOKS = {
        "ENDPOINTS": {
            "acme": {"SECRETS": [NEW], "CONTEXTS": ["Cust1", ""]},
            "other": {"SECRETS": (OLD,)},
        }
    }
    acme = conf.endpoint("acme")
    assert acme.secrets == (NEW,)
    assert [acme.takes(context) for context in ("Cust1", "", "cust1", "Cust2")] == [
        True,
        True,
        False,
        False,
    ]
    assert conf.endpoint("other").contexts is None
    assert conf.endpoint("default") is None


def test_an_empty_list_of_contexts_takes_no_tenant(settings):
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"SECRETS": [NEW], "CONTEXTS": []}}}
    assert not conf.endpoint("acme").takes("")


def test_secrets_and_endpoints_go_together(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [OLD], "ENDPOINTS": {"acme": {"SECRETS": [NEW]}}}
    assert {name: found.secrets for name, found in conf.endpoints.items()} == {
        "default": (OLD,),
        "acme": (NEW,),
    }


@pytest.mark.parametrize("found", ["tests.test_conf.find", find], ids=["dotted path", "callable"])
@pytest.mark.django_db
def test_a_callable_finds_the_endpoint_by_the_name_in_the_url(settings, found):
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": found}
    url = "/superoffice/webhook/{}/".format
    assert post(body(), url=url("elsewhere"), secret=NEW).status_code == 200
    assert post(body(), url=url("elsewhere"), secret=OLD).status_code == 401
    assert post(body(), url=url("unknown"), secret=NEW).status_code == 404
    assert post(body(), secret=NEW).status_code == 404


def test_plain_secrets_stand_beside_a_callable(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [OLD], "ENDPOINTS": "tests.test_conf.find"}
    assert conf.endpoint("default").secrets == (OLD,)
    assert conf.endpoint("elsewhere").secrets == (NEW,)


def test_the_endpoint_default_cannot_be_configured_twice(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [OLD], "ENDPOINTS": {"default": {"SECRETS": [NEW]}}}
    with pytest.raises(ImproperlyConfigured, match="twice"):
        conf.endpoint("default")


WRONG = {
    "the setting is a list": ("max_body_bytes", [NEW], "must be a dict"),
    "SECRETS is a string": ("endpoints", {"SECRETS": NEW}, r'\["SECRETS"\] must be a list'),
    "SECRETS is None": ("endpoints", {"SECRETS": None}, r'\["SECRETS"\] must be a list'),
    "a secret is None": ("endpoints", {"SECRETS": [None]}, "list of strings"),
    "a secret is bytes": ("endpoints", {"SECRETS": [b"secret"]}, "list of strings"),
    "ENDPOINTS is a list": ("endpoints", {"ENDPOINTS": ["acme"]}, "must be a dict of endpoints"),
    "ENDPOINTS does not import": ("endpoints", {"ENDPOINTS": "nowhere.find"}, "cannot be imported"),
    "ENDPOINTS is no path": ("endpoints", {"ENDPOINTS": "find"}, "cannot be imported"),
    "an endpoint is a list": (
        "endpoints",
        {"ENDPOINTS": {"acme": [NEW]}},
        '"acme".* must be a dic',
    ),
    "an endpoint's SECRETS is a string": (
        "endpoints",
        {"ENDPOINTS": {"acme": {"SECRETS": NEW}}},
        '"acme".*list of strings',
    ),
    "an endpoint's CONTEXTS is a string": (
        "endpoints",
        {"ENDPOINTS": {"acme": {"SECRETS": [NEW], "CONTEXTS": "Cust1"}}},
        '"CONTEXTS".*list of strings',
    ),
    "an endpoint has an unknown key": (
        "endpoints",
        {"ENDPOINTS": {"acme": {"SECRETS": [NEW], "CONTEXT": ["Cust1"]}}},
        "unknown key 'CONTEXT'",
    ),
    "MAX_BODY_BYTES is zero": ("max_body_bytes", {"MAX_BODY_BYTES": 0}, "positive integer"),
    "MAX_BODY_BYTES is a string": ("max_body_bytes", {"MAX_BODY_BYTES": "9"}, "positive integer"),
    "MAX_BODY_BYTES is True": ("max_body_bytes", {"MAX_BODY_BYTES": True}, "positive integer"),
    "CONTEXTS_FOR_USER does not import": (
        "contexts_for_user",
        {"CONTEXTS_FOR_USER": "tests.test_conf.absent"},
        "cannot be imported",
    ),
    "CONTEXTS_FOR_USER is a list": (
        "contexts_for_user",
        {"CONTEXTS_FOR_USER": ["Cust1"]},
        r'\["CONTEXTS_FOR_USER"\] must be a callable that takes a user, or its dotted path',
    ),
}


def wrong(key, **values):
    """Values that are wrong for this key, each with a part of the message."""
    return {
        f"{key}: {case.replace('_', ' ')}": (key.lower(), {key: value}, rf'\["{key}"\]{says}')
        for case, (value, says) in values.items()
    }


A_CALLABLE = " must be a callable that takes"
A_DICT = " must be a dict of"
NO_STRING = " has the key 7, which is not a string"
IN_BRACES = r'\["contact"\] may name {context_identifier}, {entity} and {primary_key}, and nothing'
A_URL = r'\["contact"\] must be a URL that begins with https://'
WRONG |= wrong(
    "ASSOCIATE_NAME",
    a_dict=({"Cust1": {7: "Kari"}}, f"{A_CALLABLE} a context identifier and an associate's id"),
    a_list=([7], A_CALLABLE),
    a_number=(7, A_CALLABLE),
    a_path_to_no_callable=("tests.test_conf.NEW", A_CALLABLE),
    a_path_that_does_not_import=("tests.test_conf.absent", ".*cannot be imported"),
    no_path=("name_of", ".*cannot be imported"),
    empty=("", ".*cannot be imported"),
)
WRONG |= wrong(
    "INTEGRATION_USERS",
    None_=(None, A_DICT),
    a_list=([7], f"{A_DICT} lists .* or the dotted path of a callable"),
    a_number=(7, A_DICT),
    a_path_to_no_callable=("tests.test_conf.NEW", f"{A_CALLABLE} a context identifier"),
    a_path_that_does_not_import=("tests.test_conf.absent", ".*cannot be imported"),
    one_id=({"Cust1": 7}, r'\["Cust1"\] must be a list of integers'),
    ids_in_a_string=({"Cust1": "78"}, r'\["Cust1"\] must be a list of integers'),
    an_id_in_a_string=({"Cust1": [7, "8"]}, r'\["Cust1"\] must be a list of integers'),
    an_id_that_is_true=({"Cust1": [True]}, r'\["Cust1"\] must be a list of integers'),
    no_ids=({"Cust1": None}, r'\["Cust1"\] must be a list of integers'),
    a_tenant_that_is_a_number=({7: [7]}, NO_STRING),
)
WRONG |= wrong(
    "RECORD_URLS",
    None_=(None, A_DICT),
    a_string=("https://crm.example.com/", f"{A_DICT} URLs by entity"),
    a_list=(["https://crm.example.com/"], A_DICT),
    an_entity_that_is_a_number=({7: "https://crm.example.com/"}, NO_STRING),
    a_URL_that_is_None=({"contact": None}, A_URL),
    a_URL_in_a_list=({"contact": ["https://crm.example.com/"]}, A_URL),
    bytes=({"contact": b"https://crm.example.com/"}, A_URL),
    no_scheme=({"contact": "crm.example.com/{primary_key}"}, A_URL),
    a_script=({"contact": "javascript:alert({primary_key})"}, A_URL),
    a_script_in_capitals=({"contact": "JavaScript://https://%0Aalert(1)"}, A_URL),
    data=({"contact": "data:text/html,https://"}, A_URL),
    a_space_before_the_script=({"contact": " javascript:alert(1)"}, A_URL),
    **{
        braces: ({"contact": f"https://crm.example.com/{braces}"}, IN_BRACES)
        for braces in (
            "{id}",
            "{}",
            "{0}",
            "{entity.__class__}",
            "{entity.__class__.__mro__[1].__subclasses__}",
            "{entity[0]}",
            "{entity!r}",
            "{entity!}}",
            "{ entity }",
            "{Entity}",
            "{primary_key:>999999999}",
            "{primary_key:{primary_key}}",
            "{primary_key:x}",
            "{primary_key",
            "primary_key}",
            "{",
        )
    },
)
WRONG |= wrong(
    "TECHNICAL_FIELDS",
    None_=(None, A_DICT),
    a_list=(["updated"], f"{A_DICT} lists of field names by entity"),
    a_string=("updated", A_DICT),
    an_entity_that_is_a_number=({7: ["updated"]}, NO_STRING),
    one_name=({"contact": "updated"}, r'\["contact"\] must be a list of strings'),
    no_names=({"*": None}, r'\["\*"\] must be a list of strings'),
    a_name_that_is_a_number=({"contact": ["updated", 7]}, r'\["contact"\] must be a list of str'),
    a_dict_of_names=({"contact": {"updated": True}}, r'\["contact"\] must be a list of strings'),
)


@pytest.mark.parametrize(("key", "value", "says"), WRONG.values(), ids=WRONG)
def test_nonsense_is_named_and_never_shows_a_secret(settings, key, value, says):
    settings.SUPEROFFICE_HOOKS = value
    with pytest.raises(ImproperlyConfigured, match=says) as raised:
        getattr(conf, key)
    assert NEW not in str(raised.value)


def test_contexts_for_user_may_be_a_dotted_path(settings):
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": "tests.test_conf.sees_nothing"}
    assert conf.contexts_for_user(object()) == []


@pytest.mark.parametrize("given", ["tests.test_conf.name_of", name_of], ids=["path", "callable"])
def test_a_callable_names_associates(settings, given):
    settings.SUPEROFFICE_HOOKS = {"ASSOCIATE_NAME": given}
    assert conf.associate_name("Cust1", 7) == "Associate 7 of Cust1"


def test_none_for_a_callable_is_the_default(settings):
    settings.SUPEROFFICE_HOOKS = {"ASSOCIATE_NAME": None, "CONTEXTS_FOR_USER": None}
    assert conf.associate_name("Cust1", 7) is None
    assert conf.contexts_for_user(object()) is None


@pytest.mark.parametrize(
    "given",
    [
        {"Cust1": [7], "Cust2": ()},
        {"Cust1": {7}},
        {"Cust1": frozenset({7})},
        "tests.test_conf.programs_of",
        programs_of,
    ],
    ids=["lists", "a set", "a frozen set", "dotted path", "callable"],
)
def test_integration_users_are_listed_by_tenant_or_found_by_a_callable(settings, given):
    settings.SUPEROFFICE_HOOKS = {"INTEGRATION_USERS": given}
    tenants = ("Cust1", "Cust2", "cust1", "")
    assert [list(conf.integration_users(tenant)) for tenant in tenants] == [[7], [], [], []]


def test_record_urls_are_by_entity(settings):
    urls = {
        "contact": "https://crm.example.com/{context_identifier}/?contact_id={primary_key}",
        "*": "http://intranet/{entity}/{{a literal brace}}/{primary_key}#{primary_key}",
        "sale": "https://crm.example.com/sales",
    }
    settings.SUPEROFFICE_HOOKS = {"RECORD_URLS": urls}
    assert conf.record_urls == urls


def test_technical_fields_take_the_place_of_the_default_for_their_entity_alone(settings):
    settings.SUPEROFFICE_HOOKS = {"TECHNICAL_FIELDS": {"contact": ["soundEx2"], "sale": ()}}
    assert conf.technical_fields == {
        "*": TECHNICAL_FIELDS["*"],
        "contact": ("soundEx2",),
        "sale": (),
    }
    settings.SUPEROFFICE_HOOKS = {"TECHNICAL_FIELDS": {"*": ["stamp_*"]}}
    assert conf.technical_fields == {"*": ("stamp_*",)}
    settings.SUPEROFFICE_HOOKS = {}
    assert "updated" in conf.technical_fields["*"]


def test_a_member_of_an_enumeration_of_strings_is_a_string(settings):
    class Tenant(enum.StrEnum):
        ACME = "Cust1"

    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"CONTEXTS": [Tenant.ACME]}}}
    assert conf.endpoint("acme").takes("Cust1")


@pytest.mark.django_db
def test_a_setting_counts_from_the_moment_it_is_changed(settings):
    assert post(body(), secret=settings.SECRET).status_code == 200
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW]}
    assert post(body(), secret=settings.SECRET).status_code == 401
    assert post(body(), secret=NEW).status_code == 200
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW], "MAX_BODY_BYTES": 10}
    assert post(body(), secret=NEW).status_code == 413


def test_an_endpoint_never_shows_its_secrets(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW], "ENDPOINTS": {"acme": {"SECRETS": [OLD]}}}
    shown = f"{conf.endpoints!r} {conf.endpoint('acme')} {conf.endpoint('default')!r}"
    assert "acme" in shown
    assert NEW not in shown
    assert OLD not in shown


def test_an_endpoint_cannot_be_changed():
    with pytest.raises(AttributeError):
        Endpoint("acme", (NEW,)).contexts = None


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"secrets": "x" * 40}, id="a text for secrets"),
        pytest.param({"secrets": ("x" * 40,), "contexts": "Cust12345"}, id="a text for contexts"),
        pytest.param({"secrets": {"primary": "x" * 40}}, id="a dict"),
        pytest.param({"secrets": (part for part in "xy")}, id="a generator"),
        pytest.param({"secrets": (b"x" * 40,)}, id="bytes"),
    ],
)
def test_an_endpoint_refuses_what_would_let_strangers_in(given):
    with pytest.raises(ImproperlyConfigured, match="must be a list of strings"):
        Endpoint("acme", **given)


def test_an_endpoint_takes_lists():
    endpoint = Endpoint("acme", ["new", "old"], ["Cust1"])
    assert endpoint == Endpoint("acme", ("new", "old"), frozenset({"Cust1"}))
    assert not endpoint.takes("Cust")


def test_a_callable_whose_database_is_away_is_taken_at_its_last_word(settings):
    said = [
        Endpoint("acme", (NEW,)),
        OperationalError("away"),
        None,
        OperationalError("away"),
    ]

    def from_the_database(name):
        word = said.pop(0)
        if isinstance(word, Exception):
            raise word
        return word

    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": from_the_database}
    assert conf.endpoint("acme").secrets == (NEW,)
    assert conf.endpoint("acme").secrets == (NEW,)
    assert conf.endpoint("acme") is None
    with pytest.raises(OperationalError):
        conf.endpoint("acme")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SPOOL_DIR", "relative/path", 'SUPEROFFICE_HOOKS["SPOOL_DIR"] must be the absolute path'),
        ("SPOOL_DIR", 7, "must be the absolute path of a folder"),
        ("STORE_TIMEOUT", 0, "must be a number of seconds, more than 0 and at most 60"),
        ("STORE_TIMEOUT", 61, "must be a number of seconds"),
        ("STORE_TIMEOUT", True, "must be a number of seconds"),
        ("STORE_TIMEOUT", "1", "must be a number of seconds"),
        ("STORE_TIMEOUT", float("nan"), "must be a number of seconds"),
        ("REFUSED_SAMPLE", 1000, "must be a dict of bounds"),
        (
            "REFUSED_SAMPLE",
            {"ROWS": 1},
            "has an unknown key 'ROWS'; known keys: COUNT, BYTES, DAYS",
        ),
        ("REFUSED_SAMPLE", {"COUNT": -1}, '["COUNT"] must be an integer, 0 or more'),
        ("REFUSED_SAMPLE", {"DAYS": 1.5}, '["DAYS"] must be an integer'),
        ("REFUSED_SAMPLE", {"BYTES": True}, '["BYTES"] must be an integer'),
    ],
)
def test_what_the_spool_and_the_sample_cannot_be(settings, key, value, message):
    settings.SUPEROFFICE_HOOKS = {key: value}
    with pytest.raises(ImproperlyConfigured) as raised:
        getattr(conf, key.lower())
    assert message in str(raised.value)


def test_the_spool_and_the_sample_as_the_site_sets_them(settings, tmp_path):
    settings.SUPEROFFICE_HOOKS = {
        "SPOOL_DIR": str(tmp_path),
        "STORE_TIMEOUT": 2,
        "REFUSED_SAMPLE": {"COUNT": 5, "DAYS": 0},
    }
    assert conf.spool_dir == tmp_path
    assert conf.store_timeout == 2.0
    assert conf.refused_sample == RefusedSample(5, 16 * 1024 * 1024, 0)


def test_while_the_database_is_known_to_be_away_a_callable_is_asked_only_for_what_is_new(settings):
    asked = []

    def from_the_database(name):
        asked.append(name)
        return Endpoint(name, (NEW,))

    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": from_the_database}
    assert conf.endpoint("acme", is_away=True) == conf.endpoint("acme", is_away=True)
    assert asked == ["acme"]
    conf.endpoint("acme")
    assert asked == ["acme", "acme"]
