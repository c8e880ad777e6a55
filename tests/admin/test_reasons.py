"""The reasons in plain words."""

import ast
import inspect
import re
from itertools import product
from unittest import mock

import pytest
from django.db import DataError, connection
from django.utils.translation import override

from superoffice_hooks.admin.reasons import OUTCOMES, REASONS, explain
from superoffice_hooks.intake import drain, rows, settle
from superoffice_hooks.intake.reprocess import reprocess
from superoffice_hooks.models import Delivery, Outcome
from superoffice_hooks.wire import body as wire_body
from superoffice_hooks.wire import payload as wire_payload
from superoffice_hooks.wire import signature as wire_signature
from tests.builders import body, inserts, post
from tests.intake.cases import QUARANTINED

pytestmark = pytest.mark.django_db


def reasons_in(module):
    """Every reason that the module's code gives, with a stand-in for what varies."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        called = getattr(getattr(node, "func", None), "id", "")
        if called in ("PayloadError", "SignatureError"):
            yield from texts_of(node.args[0])
        elif called == "keep" and len(node.args) > 2:
            yield from texts_of(node.args[2])
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "reason":
            yield from texts_of(node.value)


def texts_of(node):
    """The texts that an expression can be; none where it is a text from elsewhere."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return texts_of(node.body) + texts_of(node.orelse)
    if isinstance(node, ast.JoinedStr):
        return ["".join(parts) for parts in product(*map(texts_of, node.values))]
    if isinstance(node, ast.FormattedValue):
        return texts_of(node.value) or [STAND_INS.get(ast.unparse(node.value), "x")]
    return []


STAND_INS = {"encoding.upper()": "UTF-8"}
MODULES = (wire_body, wire_payload, wire_signature, settle, rows, drain)
MARKS = (
    "Processed again at 2026-11-21T09:30:00Z by olga; before: ",
    "Verified again at 2026-11-21T09:30:00Z by olga; before: ",
    "Spooled when it arrived; stored at 2026-11-21T09:30:00Z.",
)
ALL_REASONS = sorted({text for module in MODULES for text in reasons_in(module)})


@pytest.mark.parametrize("reason", ALL_REASONS)
def test_every_reason_in_the_code_is_explained(reason):
    meaning, advice = explain("quarantined", reason)
    assert meaning
    assert advice


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_is_explained_and_asks_for_nothing(mark):
    meaning, advice = explain("recorded", mark)
    assert meaning
    assert not advice


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("reason", ALL_REASONS[::4])
def test_a_mark_behind_a_reason_explains_nothing_else(reason, mark):
    assert explain("quarantined", f"{reason} ({mark})") == explain("quarantined", reason)


def test_no_explanation_is_for_a_reason_that_is_given_no_more():
    packet = "The database refuses the values (larger than max_allowed_packet)."
    used = {
        next(pattern for pattern, *_ in REASONS if re.match(pattern, reason))
        for reason in [*ALL_REASONS, packet, *MARKS]
    }
    assert used == {pattern for pattern, *_ in REASONS}


@pytest.fixture
def reasons():
    """What real deliveries were quarantined for."""

    def reasons():
        return list(Delivery.objects.filter(outcome="quarantined").values_list("reason", flat=True))

    return reasons


@pytest.mark.parametrize(("raw", "reason"), QUARANTINED)
def test_every_unusable_body_is_explained(reasons, raw, reason):
    post(raw)
    [stored] = reasons()
    meaning, advice = explain("quarantined", stored)
    assert meaning
    assert "%" not in meaning + advice
    assert "process the delivery again after an upgrade" in advice
    key = stored.split(" ")[0]
    if key not in ("The", "Event", "Timestamp"):
        assert key in meaning


def test_another_tenant_can_be_added_to_the_setting(reasons, settings):
    endpoint = {"SECRETS": [settings.SECRET], "CONTEXTS": ["Another"]}
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": endpoint}}
    post(body(), url="/superoffice/webhook/acme/")
    meaning, advice = explain("quarantined", *reasons())
    assert "a tenant that this endpoint does not take" in meaning
    assert "add it to the CONTEXTS of this endpoint" in advice

    endpoint["CONTEXTS"].append("Cust24680")
    processed = reprocess(Delivery.objects.get(), "olga")
    meaning, advice = explain(processed.outcome, processed.reason)
    assert (meaning, advice) == (
        "It was quarantined when it arrived, and processed again later.",
        "",
    )


def test_the_same_key_in_other_bytes_is_a_contradiction(reasons):
    wire = body()
    post(wire)
    post(wire | {"ChangedByAssociateId": 99})
    meaning, advice = explain("quarantined", *reasons())
    assert "This event came before, and its body said something else." in meaning
    assert "Compare this body with the event's." in advice


@pytest.mark.django_db(transaction=True)
def test_values_that_the_database_refuses_are_to_be_reported(reasons):
    def execute(run, sql, params, many, context):
        if inserts(sql, "superoffice_hooks_changedfield"):
            raise DataError("no")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        post(body())
    assert "does not take the values" in explain("quarantined", *reasons()).meaning


@pytest.mark.django_db(transaction=True)
def test_a_packet_that_is_too_small_can_be_made_larger(reasons):
    too_large = mock.Mock(side_effect=rows.OperationalError(1153, "too large"))
    with mock.patch.multiple(rows, _insert=too_large, is_possible=lambda alias: False):
        post(body())
    assert "Raise max_allowed_packet" in explain("quarantined", *reasons()).advice


@pytest.mark.parametrize("outcome", [one for one in Outcome if one != Outcome.QUARANTINED])
def test_every_outcome_without_a_reason_is_explained(outcome):
    assert explain(outcome, "").meaning


@pytest.mark.parametrize(
    ("signature", "meaning", "advice"),
    [
        ("wrong", "fits no secret of this endpoint", "the one in the settings differ"),
        ("", "carries no signature", "its webhook has no secret"),
    ],
)
def test_what_was_refused_says_what_differs(signature, meaning, advice):
    post(body(), signature=signature)
    refused = Delivery.objects.get()
    explained = explain(refused.outcome, refused.reason)
    assert meaning in explained.meaning
    assert advice in explained.advice


def test_a_reason_of_no_known_kind_is_not_explained():
    assert explain("quarantined", "Something else altogether.") is None
    assert explain("quarantined", "") is None


def test_the_explanation_is_in_the_readers_language():
    texts = [text for row in REASONS for text in row[1:] if text]
    texts += [text for row in OUTCOMES.values() for text in row if text]
    with override("de"), mock.patch("django.utils.translation._trans.gettext", return_value="«»"):
        assert {str(text) for text in texts} == {"«»"}
        assert explain("test", "").meaning == "«»"
