"""How the API shows all else, a record's story, a summary, a manifest: more than a start needs."""

from typing import Any

from rest_framework import serializers

from superoffice_hooks.api.serializers import MomentField, RecordedEventSerializer, RowSerializer
from superoffice_hooks.models import Event
from superoffice_hooks.trail.history import Entry, FieldChange, GapKind, Provenance
from superoffice_hooks.trail.record import Record


class RecordSerializer(serializers.Serializer[Record]):
    """One record of one tenant."""

    context_identifier = serializers.CharField()
    entity = serializers.CharField()
    primary_key = serializers.IntegerField()


class AssociateSerializer(serializers.Serializer[Any]):
    """Who did it; the name where the site knows one."""

    associate_id = serializers.IntegerField()
    context_identifier = serializers.CharField()
    name = serializers.CharField(allow_null=True)
    is_integration = serializers.BooleanField(help_text="Whether it is a program of the site's.")


class EventReferenceSerializer(RowSerializer[Event]):
    """Which event it was."""

    class Meta:
        model = Event
        fields = ("id", "event_id", "name", "occurred_at")
        read_only_fields = fields


class ToldSerializer(serializers.Serializer[Any]):
    """A value as it was sent, and the id of the event whose snapshot told it."""

    value = serializers.JSONField()
    event = serializers.IntegerField(source="event.pk")


class FieldChangeSerializer(serializers.Serializer[FieldChange]):
    """One changed field: its value before and after, null where it is not known, and why."""

    name = serializers.CharField()
    before = ToldSerializer(allow_null=True)
    after = ToldSerializer(allow_null=True)
    provenance = serializers.ChoiceField(
        choices=[provenance.value for provenance in Provenance],
        help_text=(
            "derived: an earlier snapshot told the value before. new: this event created the "
            "record. first_sight: no earlier event names the field. untold: an earlier change "
            "came without its value. capped: an earlier event named more fields than are kept. "
            "out_of_reach: earlier events were not looked at."
        ),
    )
    by = EventReferenceSerializer(allow_null=True, help_text="The event that provenance speaks of.")
    is_same = serializers.BooleanField(help_text="Whether both values are known and equal.")
    is_technical = serializers.SerializerMethodField()

    def get_is_technical(self, change: FieldChange) -> bool:
        """Whether SuperOffice itself keeps the field."""
        record: Record = self.context["record"]
        return bool(self.context["technical"](record.entity, change.name))


class GapSerializer(serializers.Serializer[Any]):
    """A sign that the trail lacks something between ``since``, where known, and ``until``."""

    kind = serializers.ChoiceField(
        choices=[kind.value for kind in GapKind],
        help_text=(
            "moved: a value moved and no event named its field. unborn: a change before the "
            "record's created event, or without one. after_delete, in_the_bin: something happened "
            "to a record that was deleted."
        ),
    )
    since = EventReferenceSerializer(allow_null=True)
    until = EventReferenceSerializer()
    moved = FieldChangeSerializer(many=True)


class OutageSerializer(serializers.Serializer[Any]):
    """A time in which a webhook of the tenant was off; ``started`` is null while it lasts."""

    stopped = EventReferenceSerializer()
    started = EventReferenceSerializer(allow_null=True)


class StepSerializer(serializers.Serializer[Entry]):
    """One event of a record, and who did it; its entry in the timeline has the changes."""

    event = RecordedEventSerializer()
    changed_by = serializers.SerializerMethodField()
    is_undelete = serializers.BooleanField()

    def get_changed_by(self, entry: Entry) -> dict[str, Any]:
        """Who did it."""
        event = entry.event
        found = self.context["people"](event.context_identifier, event.changed_by_associate_id)
        return dict(AssociateSerializer(found).data)


class EntrySerializer(StepSerializer):
    """One event of a record: who did it, what it changed, and the gaps just before it."""

    changes = FieldChangeSerializer(many=True)
    gaps = GapSerializer(many=True)
    twins = serializers.SerializerMethodField(
        help_text="The ids of the events that told the same change again."
    )

    def get_twins(self, entry: Entry) -> list[int]:
        """The ids of the events that told the same change again."""
        return [twin.pk for twin in entry.twins]


class DossierSerializer(serializers.Serializer[Any]):
    """The deletion of a record: its steps, what it held, and what came after."""

    is_gone = serializers.BooleanField()
    is_cut = serializers.BooleanField(
        help_text="Whether more came after a deletion than was read, an undelete perhaps."
    )
    steps = StepSerializer(many=True)
    deleted = EventReferenceSerializer(allow_null=True)
    after = StepSerializer(many=True)
    snapshot = RecordedEventSerializer(allow_null=True)


class MentionSerializer(serializers.Serializer[Any]):
    """An event of another record, and the fields in which it names this one."""

    event = RecordedEventSerializer()
    named_in = serializers.ListField(child=serializers.CharField(), source="fields")
    tied = RecordSerializer(allow_null=True, help_text="The other end, where it is a relation's.")


class RelatedSerializer(serializers.Serializer[Any]):
    """A page of what happened around a record, newest first."""

    entities = serializers.ListField(
        child=serializers.CharField(), help_text="The entities to filter by, of the newest 500."
    )
    results = MentionSerializer(many=True, source="mentions")
    next = serializers.SerializerMethodField()

    def get_next(self, page: Any) -> str | None:
        """The address of the page before it in time; null on the last."""
        link: str | None = self.context["next_related"](page)
        return link


class TimelineSerializer(RecordSerializer):
    """A record with a page of its timeline, newest first, and what happened around it."""

    url = serializers.CharField(allow_null=True, help_text="Where SuperOffice shows the record.")
    trail_began = MomentField(
        source="page.trail_began",
        default=None,
        allow_null=True,
        help_text="When the tenant's trail begins; null where it has no event of the record.",
    )
    has_created = serializers.BooleanField(source="page.has_created", default=False)
    entries = EntrySerializer(many=True, source="page.entries", default=())
    outages = OutageSerializer(many=True, source="page.outages", default=())
    dossier = DossierSerializer(allow_null=True)
    related = RelatedSerializer(allow_null=True)
    next = serializers.CharField(allow_null=True)


class CountSerializer(serializers.Serializer[Any]):
    """How many events of one kind there are."""

    count = serializers.IntegerField()


class DaySerializer(CountSerializer):
    """One day, from ``begin`` on and before ``end``, or the part of it that was counted."""

    begin = serializers.DateTimeField()
    end = serializers.DateTimeField()
    actions = serializers.DictField(child=serializers.IntegerField())


class ActionCountSerializer(CountSerializer):
    """The events of one action."""

    action = serializers.CharField()


class EntityCountSerializer(CountSerializer):
    """The events of one entity."""

    entity = serializers.CharField()


class AssociateCountSerializer(AssociateSerializer, CountSerializer):
    """The events that one associate caused."""


class TenantCountSerializer(CountSerializer):
    """The events of one tenant."""

    context_identifier = serializers.CharField()


class SummarySerializer(serializers.Serializer[Any]):
    """How many events there are in a period, from ``begin`` on and before ``end``."""

    begin = MomentField()
    end = MomentField()
    counted_from = MomentField(
        help_text="Of more than 100,000 events the newest are counted: those from this moment on."
    )
    count = serializers.IntegerField()
    days = DaySerializer(many=True)
    actions = ActionCountSerializer(many=True)
    entities = EntityCountSerializer(many=True)
    associates = AssociateCountSerializer(many=True)
    tenants = TenantCountSerializer(many=True)


class FileSerializer(serializers.Serializer[Any]):
    """One form of an export, whole."""

    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class OutageFoundSerializer(serializers.Serializer[Any]):
    """A time in which a webhook was off, by the events that say so."""

    context_identifier = serializers.CharField()
    webhook = serializers.IntegerField()
    stopped_at = MomentField()
    stopped = serializers.IntegerField()
    started_at = MomentField(allow_null=True)
    started = serializers.IntegerField(allow_null=True)


class OutagesFoundSerializer(serializers.Serializer[Any]):
    """The outages of the tenants that were looked at."""

    tenants = serializers.IntegerField()
    all_looked_at = serializers.BooleanField()
    found = OutageFoundSerializer(many=True)


class GapFoundSerializer(RecordSerializer):
    """A gap just before an exported event."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in GapKind])
    since = serializers.IntegerField(allow_null=True)
    since_at = MomentField(allow_null=True)
    until = serializers.IntegerField()
    until_at = MomentField()
    moved = serializers.ListField(child=serializers.CharField())


class GapsFoundSerializer(serializers.Serializer[Any]):
    """The gaps of the records that were looked at."""

    records = serializers.IntegerField()
    all_looked_at = serializers.BooleanField()
    found = GapFoundSerializer(many=True)


class ManifestSerializer(serializers.Serializer[Any]):
    """What an export holds, and the gaps that the trail shows in it."""

    what = serializers.ChoiceField(choices=["events", "deliveries"])
    filter = serializers.DictField()
    contexts = serializers.ListField(
        child=serializers.CharField(allow_blank=True),
        allow_null=True,
        help_text="The tenants that the user may see; null for all.",
    )
    after = MomentField(allow_null=True, help_text="The period that was asked for.")
    before = MomentField(allow_null=True)
    order = serializers.CharField()
    until = serializers.IntegerField()
    made_at = MomentField()
    made_by = serializers.CharField()
    made_with = serializers.CharField()
    count = serializers.IntegerField()
    first = MomentField(allow_null=True)
    last = MomentField(allow_null=True)
    files = serializers.DictField(child=FileSerializer())
    outages = OutagesFoundSerializer()
    gaps = GapsFoundSerializer(allow_null=True)
