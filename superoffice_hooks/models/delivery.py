"""What arrived: one row for each POST that proved genuine, and a sample of the others."""

from collections.abc import Iterable
from typing import ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.models.event import Event
from superoffice_hooks.models.fields import ExactCharField, PackedBinaryField

RETRY_HEADER = "X-Superoffice-Retry"  # as Django spells what SuperOffice calls X-SuperOffice-Retry


class Outcome(models.TextChoices):
    """What became of a delivery."""

    RECORDED = "recorded", _("recorded")
    DUPLICATE = "duplicate", _("duplicate")
    TEST = "test", _("test")
    QUARANTINED = "quarantined", _("quarantined")
    REFUSED = "refused", _("refused")


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """The selections that admin and API share."""

    def in_contexts(self, contexts: Iterable[str] | None) -> Self:
        """Keep the deliveries of these tenants' events; ``None`` keeps all.

        A delivery without an event belongs to no tenant that could be trusted, so that only
        those who may see every tenant see it.
        """
        if contexts is None:
            return self
        return self.filter(event__context_identifier__in=list(contexts))


class Delivery(models.Model):
    """One POST to an endpoint: its bytes as they came, and what became of them.

    ``event`` is the event that these bytes recorded, or repeated, or contradict; ``None`` for
    test events and for bodies that hold no event. Its row is changed only where a quarantined
    delivery is processed again, or a refused one verified again, and what arrived never is. Of
    what was refused, a bounded sample is kept: the only rows that are ever deleted.
    """

    Outcome = Outcome

    endpoint = ExactCharField(_("endpoint"), max_length=255)
    received_at = models.DateTimeField(_("received at"))
    outcome = ExactCharField(_("outcome"), max_length=16, choices=Outcome)
    reason = models.TextField(_("reason"), blank=True)
    event = models.ForeignKey(
        Event,
        models.PROTECT,
        verbose_name=_("event"),
        related_name="deliveries",
        null=True,
        blank=True,
        db_constraint=False,
    )
    signature = ExactCharField(_("signature"), max_length=255, blank=True)
    key_id = ExactCharField(
        _("key id"),
        max_length=8,
        blank=True,
        help_text=_("Which of the endpoint's secrets gave the signature."),
    )
    remote_address = ExactCharField(
        _("remote address"),
        max_length=45,
        blank=True,
        help_text=_("The other end of the connection, as the server reports it."),
    )
    headers = models.JSONField(
        _("headers"),
        default=dict,
        help_text=_("Not covered by the signature: evidence, not proof."),
    )
    body = PackedBinaryField(_("body"))

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering: ClassVar = ["-id"]
        # Whole, and not of the few that are not recorded: SQLite would not use a part.
        indexes: ClassVar = [
            models.Index(fields=["outcome", "id"], name="so_delivery_outcome"),
            models.Index(fields=["received_at", "id"], name="so_delivery_time"),
        ]
        permissions: ClassVar = [
            ("reprocess_delivery", _("Can process a quarantined delivery again"))
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.received_at:%Y-%m-%d %H:%M:%S} {self.get_outcome_display()}"
