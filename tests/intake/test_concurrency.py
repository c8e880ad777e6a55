"""Copies of one delivery at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections

from superoffice_hooks.models import ChangedField, Delivery, Event
from tests.builders import body, encode, post

COPIES, ROUNDS = 32, 50


def at_once(posts):
    """Post each list of bodies from a thread of its own and return all the answers."""

    def deliver(bodies):
        try:
            return [post(raw).status_code for raw in bodies]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(posts)) as pool:
        return [status for answers in pool.map(deliver, posts) for status in answers]


@pytest.mark.django_db(transaction=True)
def test_8_writers_of_different_events_never_lock_one_another_out():
    posts = [[body(PrimaryKey=100 * writer + n) for n in range(100)] for writer in range(8)]
    assert at_once(posts) == [200] * 800
    assert Event.objects.count() == 800


@pytest.mark.django_db(transaction=True)
def test_32_copies_at_once_are_answered_200_and_are_one_event():
    barrier = Barrier(COPIES)
    bodies = [encode(body(PrimaryKey=number)) for number in range(ROUNDS)]

    def deliver(_copy):
        try:
            answers = []
            for raw in bodies:
                barrier.wait(timeout=60)
                answers.append(post(raw).status_code)
            return answers
        finally:
            connections.close_all()

    with ThreadPoolExecutor(COPIES) as pool:
        answers = [status for copy in pool.map(deliver, range(COPIES)) for status in copy]

    assert len(answers) == COPIES * ROUNDS
    assert set(answers) == {200}
    assert Event.objects.count() == ROUNDS
    assert ChangedField.objects.count() == 3 * ROUNDS
    assert Delivery.objects.filter(outcome="recorded").count() == ROUNDS
    assert Delivery.objects.filter(outcome="duplicate").count() == (COPIES - 1) * ROUNDS
