"""The tables that a site would make for itself without the app."""

from django.conf import settings
from django.db import models


class Blob(models.Model):
    """A delivery as one JSON document."""

    received_at = models.DateTimeField(auto_now_add=True)
    body = models.JSONField()

    def __str__(self) -> str:
        return f"blob {self.pk}"


class AuditedBlob(models.Model):
    """The same, with a log entry of django-auditlog for each."""

    received_at = models.DateTimeField(auto_now_add=True)
    body = models.JSONField()

    def __str__(self) -> str:
        return f"audited blob {self.pk}"


class PeerEvent(models.Model):
    """An event with columns of its own."""

    event_id = models.UUIDField(unique=True)
    name = models.CharField(max_length=255, db_index=True)
    entity = models.CharField(max_length=255)
    primary_key = models.BigIntegerField(db_index=True)
    context_identifier = models.CharField(max_length=255, db_index=True)
    changed_by_associate_id = models.BigIntegerField()
    webhook_name = models.CharField(max_length=255)
    occurred_at = models.DateTimeField(db_index=True)
    received_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.name} {self.primary_key}"


class PeerChangedField(models.Model):
    """A field that an event names as changed."""

    event = models.ForeignKey(PeerEvent, models.CASCADE, related_name="changed_fields")
    name = models.CharField(max_length=255)

    def __str__(self) -> str:
        return self.name


class PeerFieldValue(models.Model):
    """A value that an event tells."""

    event = models.ForeignKey(PeerEvent, models.CASCADE, related_name="values")
    name = models.CharField(max_length=255)
    value = models.JSONField(null=True)

    def __str__(self) -> str:
        return self.name


if settings.HAS_AUDITLOG:
    from auditlog.registry import auditlog

    auditlog.register(AuditedBlob)
