"""What became of a delivery in plain words, in the reader's language, and what to do about it.

The stored reason is English and exact. Here each of them, found by its beginning, has a text for
people who do not run the site. ``tests/admin/test_reasons.py`` holds that none is missing.
"""

import re
from typing import Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.models import Outcome

_Text = str | Promise


class Explanation(NamedTuple):
    """What happened, and what to do next: ``advice`` is empty where there is nothing to do."""

    meaning: str
    advice: str = ""


_LOOK: Final = _(
    "Look at the body and at who sent it: tools and tests post such things, SuperOffice does not. "
    "If it did come from SuperOffice, report it, and process the delivery again after an upgrade."
)

# The first that matches the beginning of the reason counts. Groups fill the texts.
REASONS: Final[tuple[tuple[str, _Text, _Text], ...]] = (
    (
        r"Processed again at ",
        _("It was quarantined when it arrived, and processed again later."),
        "",
    ),
    (
        r"Verified again at ",
        _("It was refused when it arrived, and verified later by the right secret."),
        "",
    ),
    (
        r"Spooled when it arrived",
        _("The database could not take it when it arrived; it was kept on disk meanwhile."),
        "",
    ),
    (
        r"The signature does not match",
        _("Its signature fits no secret of this endpoint."),
        _(
            "If SuperOffice sent it, the secret there and the one in the settings differ. Give "
            "both the same, and verify the delivery again. If SuperOffice did not, somebody "
            "else knows the address: nothing was taken from them."
        ),
    ),
    (
        r"The header X-SuperOffice-Signature is missing",
        _("It carries no signature, so that nothing proves who sent it."),
        _(
            "If SuperOffice sent it, its webhook has no secret: set there the one that the "
            "settings have. This delivery can never be verified."
        ),
    ),
    (
        r"The endpoint .+ was removed while",
        _("Its endpoint was removed from the settings while the delivery was kept on disk."),
        _(
            "If the delivery should be taken, put the endpoint back into the settings and "
            "process the delivery again."
        ),
    ),
    (
        r"ContextIdentifier is missing, or names a tenant",
        _("The event is of a tenant that this endpoint does not take, or it names no tenant."),
        _(
            "If the tenant is yours, add it to the CONTEXTS of this endpoint in the settings "
            "and process the delivery again. If it is not, somebody else knows your secret: "
            "change it."
        ),
    ),
    (
        r"The same EventId, Event, PrimaryKey and ContextIdentifier came before",
        _(
            "This event came before, and its body said something else. The first one is in "
            "the trail, this one is not."
        ),
        _(
            "Compare this body with the event's. Processing the delivery again does not help: "
            "the first one stays."
        ),
    ),
    (
        r"The database refuses the values \(larger than max_allowed_packet",
        _("The event is larger than the database takes at once."),
        _("Raise max_allowed_packet of the database and process the delivery again."),
    ),
    (
        r"The database refuses the values",
        _("The database does not take the values of this event."),
        _("Report it, with this body, and process the delivery again after an upgrade."),
    ),
    (
        r"The body is not JSON",
        _("The body is not JSON, which is how SuperOffice writes events."),
        _LOOK,
    ),
    (
        r"The body is JSON, but not an object",
        _("The body is JSON, but not an event: that begins and ends with a brace."),
        _LOOK,
    ),
    (
        r"The body is not (?P<encoding>UTF\S+)",
        _("The body is not text: some of its bytes are no %(encoding)s."),
        _LOOK,
    ),
    (
        r"The body holds an integer of more digits",
        _("The body holds a number of thousands of digits."),
        _LOOK,
    ),
    (
        r"The body nests deeper",
        _("The body holds lists within lists, deeper than any event does."),
        _LOOK,
    ),
    (
        r"The body starts like gzip",
        _("The body is compressed, and so damaged that it cannot be unpacked."),
        _LOOK,
    ),
    (
        r"The body is cut off or unpacks to more",
        _("The body is compressed, and either cut off or far too large."),
        _LOOK,
    ),
    (
        r"(?P<key>\w+) is given more than once",
        _("The body gives %(key)s twice, so that nobody can say which event it is."),
        _LOOK,
    ),
    (
        r"Event is missing or empty",
        _("The body does not say what happened: it has no Event."),
        _LOOK,
    ),
    (
        r"Timestamp (is missing|names a moment|is outside)",
        _("The body does not say when it happened: its Timestamp is no usable date and time."),
        _LOOK,
    ),
    (
        r"EventId is not a GUID",
        _("The EventId of the body is not a GUID, which SuperOffice sends."),
        _LOOK,
    ),
    (r"(?P<key>\w+) is missing", _("The body lacks its %(key)s."), _LOOK),
    (
        r"(?P<key>\w+) (is not an? |does not fit)",
        _("The body gives a %(key)s of another kind than SuperOffice sends."),
        _LOOK,
    ),
)

OUTCOMES: Final[dict[str, tuple[_Text, _Text]]] = {
    Outcome.RECORDED: (_("It brought a new event."), ""),
    Outcome.DUPLICATE: (_("The event was in the trail already; it is there once."), ""),
    Outcome.TEST: (_("SuperOffice tested the webhook, as it does when one is saved."), ""),
    Outcome.REFUSED: (
        _("Its signature was wrong or missing."),
        _("Compare the secret in SuperOffice with the secret of this endpoint."),
    ),
}


def explain(outcome: str, reason: str) -> Explanation | None:
    """Return the explanation in the reader's language; ``None`` for a reason of no known kind."""
    if not reason:
        meaning, advice = OUTCOMES.get(outcome, ("", ""))
        return Explanation(str(meaning), str(advice)) if meaning else None
    for pattern, meaning, advice in REASONS:
        found = re.match(pattern, reason)
        if found:
            return Explanation(str(meaning) % found.groupdict(), str(advice))
    return None
