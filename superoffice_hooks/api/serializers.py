"""How the API shows events and deliveries, in the wire's own words."""

from datetime import UTC
from typing import Any, ClassVar, TypeVar

from django.db import models
from rest_framework import ISO_8601, serializers

from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.trail.selection import DeliveryRows, EventRows, body_text

Row = TypeVar("Row", bound=models.Model)


class MomentField(serializers.DateTimeField):
    """A moment in UTC and ISO 8601, whatever the site shows people: a cursor is made of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"format": ISO_8601, "default_timezone": UTC, **options})


class RowSerializer(serializers.ModelSerializer[Row]):
    """One row of the trail, its moments in UTC."""

    serializer_field_mapping: ClassVar = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: MomentField,
    }


class RecordedEventSerializer(RowSerializer[Event]):
    """One event with its changed fields, deleted values and field values."""

    changed_fields = serializers.SerializerMethodField()
    deleted_values = serializers.SerializerMethodField()

    class Meta:
        model = Event
        fields: tuple[str, ...] = tuple(name for name in EventRows.columns if name != "properties")
        read_only_fields = fields

    def get_changed_fields(self, event: Event) -> list[str]:
        """The names of the changed fields, in the order of the wire."""
        return [row.name for row in event.changed_fields.all()]

    def get_deleted_values(self, event: Event) -> dict[str, Any]:
        """The values of the deleted row by field name, each of the type that was sent."""
        return {row.name: row.value for row in event.deleted_values.all()}


class EventSerializer(RecordedEventSerializer):
    """One event, with the keys of its body that are not SuperOffice's own in ``properties``."""

    class Meta(RecordedEventSerializer.Meta):
        fields = EventRows.columns
        read_only_fields = fields


class DeliverySerializer(RowSerializer[Delivery]):
    """One POST: what became of it and why, and its headers, which nothing proves."""

    outcome = serializers.ChoiceField(choices=Outcome.values, read_only=True)

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = tuple(
            name for name in DeliveryRows.columns if not name.startswith("body")
        )
        read_only_fields = fields


class WholeDeliverySerializer(DeliverySerializer):
    """One POST with its body: as text, or in base64 where the bytes are not UTF-8."""

    body = serializers.SerializerMethodField()
    body_encoding = serializers.SerializerMethodField()

    class Meta(DeliverySerializer.Meta):
        fields = DeliveryRows.columns
        read_only_fields = fields

    def get_body(self, delivery: Delivery) -> str:
        """The bytes as they came."""
        return body_text(bytes(delivery.body))[1]

    def get_body_encoding(self, delivery: Delivery) -> str:
        """How ``body`` holds the bytes: ``utf-8`` or ``base64``."""
        return body_text(bytes(delivery.body))[0]
