"""What the API shows of a row, in the wire's own words."""

from typing import Any

from rest_framework import serializers

from superoffice_hooks.models import Event


class EventSerializer(serializers.ModelSerializer[Event]):
    """One event with its changed fields, deleted values and field values."""

    changed_fields = serializers.SerializerMethodField()
    deleted_values = serializers.SerializerMethodField()

    class Meta:
        model = Event
        fields = (
            "id",
            "event_id",
            "name",
            "entity",
            "action",
            "primary_key",
            "context_identifier",
            "changed_by_associate_id",
            "webhook_name",
            "occurred_at",
            "received_at",
            "changed_fields",
            "deleted_values",
            "field_values",
            "properties",
            "flags",
        )
        read_only_fields = fields

    def get_changed_fields(self, event: Event) -> list[str]:
        """The names of the changed fields, in the order of the wire."""
        return [row.name for row in event.changed_fields.all()]

    def get_deleted_values(self, event: Event) -> dict[str, Any]:
        """The values of the deleted row by field name, each of the type that was sent."""
        return {row.name: row.value for row in event.deleted_values.all()}
