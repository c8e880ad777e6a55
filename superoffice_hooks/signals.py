"""The signals that other apps connect to."""

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
costs nobody the row. Receivers run before SuperOffice gets its answer (of a spooled delivery,
after it), and SuperOffice waits only seconds: hand long work to a queue. The rows are the durable
record, the signal is not; a receiver that missed one finds it by query. Of a delivery that was
spooled it may be sent twice, where a process is killed between the commit and the end of its work.
"""

alarm_raised = Signal()
"""Sent when something threatens the completeness of the trail and a person should know of it.

Arguments:

``sender``
    ``superoffice_hooks.alarms.Alarm``, the class.
``alarm``
    Which of them: ``Alarm.SPOOL_IN_USE``, for example.
``subject``
    What it is about: the name of an endpoint, a context identifier, or a file of the spool.
``message``
    One English sentence, without personal data, as it is logged.

Sent with ``send_robust`` in a thread of its own, so that no delivery waits for the receivers; at
most once a minute from each process for the same alarm about the same subject, unless it has
become worse. The database may be away.
"""
