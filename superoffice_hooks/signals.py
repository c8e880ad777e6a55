"""The signal that other apps connect to."""

from django.dispatch import Signal

event_recorded = Signal()
"""Sent once for each new event, after the transaction that holds its rows has committed.

Not sent for duplicates, test events and quarantined deliveries. Arguments:

``sender``
    ``superoffice_hooks.models.Event``, the class.
``event``
    The new ``Event``; its ``changed_fields`` and ``deleted_values`` are stored.
``delivery``
    The ``Delivery`` that brought it, with the bytes.

Sent with ``send_robust``: an exception in a receiver is logged under ``django.dispatch`` and
costs nobody the row. Receivers run before SuperOffice gets its answer, and SuperOffice waits only
seconds: hand long work to a queue. The rows are the durable record, the signal is not; a receiver
that missed one finds it by query.
"""
