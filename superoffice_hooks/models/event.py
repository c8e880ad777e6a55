"""What happened in SuperOffice: the rows of the audit trail."""

from collections.abc import Iterable
from typing import ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.models.fields import ExactCharField, GuidField, WireEncoder
from superoffice_hooks.models.indexes import OrderedOnMariaDB


class EventQuerySet(models.QuerySet["Event"]):
    """The selections that admin, API and export share."""

    def in_contexts(self, contexts: Iterable[str] | None) -> Self:
        """Keep the events of these tenants; ``None`` keeps all."""
        return self if contexts is None else self.filter(context_identifier__in=list(contexts))

    def changing(self, name: str) -> Self:
        """Keep the events whose Changes name this field.

        EXISTS, not a join: a join would need DISTINCT over events, thirty times slower.
        """
        named = ChangedField.objects.filter(event=models.OuterRef("pk"), name=name)
        return self.filter(models.Exists(named))

    def with_rows(self) -> Self:
        """Fetch the changed fields and deleted values too, in two queries for any number."""
        return self.prefetch_related("changed_fields", "deleted_values")

    def once(self) -> Self:
        """Keep of each change the event that told it first."""
        return self.filter(twin_of=None)

    def twins(self) -> Self:
        """Keep the events that tell of a change once more."""
        # Only twins are without a fingerprint, but for a few, and that column has an index.
        return self.filter(fingerprint=None, twin_of__isnull=False)

    def twins_of(self, *events: "Event") -> Self:
        """Keep the twins of these events, which are of one record, by its index."""
        if not events:
            return self.none()
        record = events[0]
        moments = [event.occurred_at for event in events]
        return self.of_record(record.context_identifier, record.entity, record.primary_key).filter(
            occurred_at__range=(min(moments), max(moments)),
            twin_of__in=[event.pk for event in events],
        )

    def of_record(self, context_identifier: str, entity: str, primary_key: int) -> Self:
        """Keep the events of one record of one tenant."""
        return self.filter(
            context_identifier=context_identifier, entity=entity, primary_key=primary_key
        )


class Event(models.Model):
    """One change of one record in SuperOffice, as one genuine delivery told it.

    The same change can be told again, under another ``event_id`` or by another webhook: that is a
    twin of the first, ``twin_of``, whole in all else. ``fingerprint`` is the change's own, and only
    its first event has it.

    Everything can be derived again from the ``Delivery`` that recorded it: from its body, and
    ``event_id`` from its headers where the body has none. Rows are written by
    ``superoffice_hooks.intake`` and never changed, but where they are rebuilt from that delivery.
    """

    event_id = GuidField(_("event id"))
    name = ExactCharField(_("event"), max_length=255, help_text=_("For example contact.changed."))
    entity = ExactCharField(_("entity"), max_length=255)
    action = ExactCharField(_("action"), max_length=255)
    primary_key = models.BigIntegerField(
        _("primary key"), help_text=_("The id of the record in SuperOffice.")
    )
    context_identifier = ExactCharField(
        _("context identifier"),
        max_length=255,
        help_text=_("The tenant: Cust12345 online, Default or empty on-site."),
    )
    changed_by_associate_id = models.BigIntegerField(
        _("changed by associate"), help_text=_("The associate's id; 0 is the system.")
    )
    webhook_name = ExactCharField(_("webhook name"), max_length=255)
    occurred_at = models.DateTimeField(
        _("occurred at"), help_text=_("When SuperOffice says that it happened.")
    )
    received_at = models.DateTimeField(_("received at"))
    field_values = models.JSONField(
        _("field values"),
        encoder=WireEncoder,
        default=dict,
        help_text=_("The values of the record after the change, where SuperOffice sent them."),
    )
    properties = models.JSONField(
        _("properties"),
        encoder=WireEncoder,
        default=dict,
        help_text=_("Keys of the body that are not SuperOffice's own."),
    )
    flags = models.JSONField(
        _("flags"),
        default=list,
        help_text=_("How these rows differ from the bytes of the delivery."),
    )
    fingerprint = GuidField(
        _("fingerprint"),
        null=True,
        unique=True,
        editable=False,
        help_text=_("Of what the first event of a change says, without its id and webhook."),
    )
    # Twins have their record and their time in common: the index of records finds them.
    twin_of = models.ForeignKey(
        "self",
        models.RESTRICT,
        verbose_name=_("twin of"),
        related_name="twins",
        null=True,
        editable=False,
        db_constraint=False,
        db_index=False,
        help_text=_("The event that told the same change first."),
    )

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering: ClassVar = ["-occurred_at", "-id"]
        constraints: ClassVar = [
            # The gate for duplicates. The GUID comes first so that the same index finds an event
            # by it; alone it is not unique, SuperOffice reuses it for different events.
            models.UniqueConstraint(
                fields=["event_id", "context_identifier", "name", "primary_key"],
                name="superoffice_hooks_event_key",
            )
        ]
        # Each index answers one question of the admin and the API; a list is read newest first.
        indexes: ClassVar = [
            models.Index(fields=["occurred_at", "id"], name="so_event_time"),
            models.Index(fields=["received_at", "id"], name="so_event_received"),
            models.Index(fields=["context_identifier", "occurred_at", "id"], name="so_event_ctx"),
            models.Index(fields=["entity", "occurred_at", "id"], name="so_event_entity"),
            models.Index(fields=["action", "occurred_at", "id"], name="so_event_action"),
            models.Index(fields=["name", "occurred_at", "id"], name="so_event_name"),
            models.Index(
                fields=["changed_by_associate_id", "occurred_at", "id"], name="so_event_associate"
            ),
            models.Index(fields=["webhook_name", "occurred_at", "id"], name="so_event_webhook"),
            # The timeline of one record, and the search for a bare number.
            models.Index(
                fields=["primary_key", "entity", "context_identifier", "occurred_at", "id"],
                name="so_event_record",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.primary_key}"


class ChangedField(models.Model):
    """One field that an event names as changed; ``position`` is its place in Changes, from 0.

    The key is (name, event), for it is also the index behind "which events changed this field". The
    rows of an event are found by an index of the event alone: PostgreSQL keeps such an id once, and
    not with each of ten rows. There is no surrogate id and no foreign-key constraint, which would
    cost every event ten index entries and ten look-ups for rows that are only written with it.
    """

    pk = models.CompositePrimaryKey("name", "event_id")
    event = models.ForeignKey(
        Event, models.CASCADE, related_name="changed_fields", db_constraint=False, db_index=False
    )
    position = models.PositiveSmallIntegerField(_("position"))
    name = ExactCharField(_("field"), max_length=255)

    class Meta:
        verbose_name = _("changed field")
        verbose_name_plural = _("changed fields")
        ordering: ClassVar = ["event_id", "position"]
        indexes: ClassVar = [OrderedOnMariaDB(fields=["event"], name="so_changed_event")]

    def __str__(self) -> str:
        return str(self.name)


class DeletedValue(models.Model):
    """One value of a deleted row, as SuperOffice sent it with the event; keyed by (event, name)."""

    pk = models.CompositePrimaryKey("event_id", "name")
    event = models.ForeignKey(
        Event, models.CASCADE, related_name="deleted_values", db_constraint=False, db_index=False
    )
    name = ExactCharField(_("field"), max_length=255)
    value = models.JSONField(_("value"), encoder=WireEncoder, null=True)

    class Meta:
        verbose_name = _("deleted value")
        verbose_name_plural = _("deleted values")
        ordering: ClassVar = ["event_id", "name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"


class RelatedRecord(models.Model):
    """A record other than its own that an event names.

    It stands in an ``…_id`` value of the event, or is the source or destination of a relation.
    Tenant and time are the event's own, repeated here so that one index gives "what happened
    around this record", newest first, however often it is named. That index is the key, so that
    there is no second one as wide; an index of the event alone finds the rows of an event.
    """

    pk = models.CompositePrimaryKey(
        "primary_key", "entity", "context_identifier", "occurred_at", "event_id"
    )
    event = models.ForeignKey(
        Event, models.CASCADE, related_name="related_records", db_constraint=False, db_index=False
    )
    entity = ExactCharField(_("entity"), max_length=255)
    primary_key = models.BigIntegerField(_("primary key"))
    context_identifier = ExactCharField(_("context identifier"), max_length=255)
    occurred_at = models.DateTimeField(_("occurred at"))

    class Meta:
        verbose_name = _("related record")
        verbose_name_plural = _("related records")
        ordering: ClassVar = ["-occurred_at", "-event_id"]
        indexes: ClassVar = [models.Index(fields=["event"], name="so_related_event")]

    def __str__(self) -> str:
        return f"{self.entity} {self.primary_key}"
