"""The audit trail: ``Event`` is what happened, ``Delivery`` is what arrived."""

from superoffice_hooks.models.delivery import Delivery, Outcome
from superoffice_hooks.models.event import ChangedField, DeletedValue, Event, RelatedRecord

__all__ = ["ChangedField", "DeletedValue", "Delivery", "Event", "Outcome", "RelatedRecord"]
