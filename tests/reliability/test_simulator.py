"""The sender keeps the rules that SuperOffice's pages state, in both readings."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.reliability import journal
from tests.reliability.bodies import Bodies
from tests.reliability.simulator import Counting, RegistrationError, SuperOffice, Switch

pytestmark = pytest.mark.reliability
SECRET = "a-secret-of-the-simulator-0123456789"


def times_until_disabled(rate, counting):
    """When nine failures are reached, if nothing is answered 200 from the start."""
    attempts = sorted(
        (round(number / rate + wait, 6), number, wait == 5)
        for number in range(200)
        for wait in (0, 1, 5)
    )
    switch = Switch(counting)
    switch.start()
    return next(at for at, _, last in attempts if switch.failed(last=last))


@pytest.mark.parametrize(
    ("rate", "attempts", "discarded"),
    [(0.1, 25, 25), (0.5, 7, 9), (1, 4, 7), (5, 1.2, 5.4), (20, 0.3, 5.1)],
)
def test_an_outage_disables_as_soon_as_either_reading_says(rate, attempts, discarded):
    assert times_until_disabled(rate, Counting.ATTEMPTS) == pytest.approx(attempts, abs=0.11)
    assert times_until_disabled(rate, Counting.DISCARDED) == pytest.approx(discarded, abs=0.11)


def test_a_success_makes_failures_forgotten():
    switch = Switch(Counting.ATTEMPTS)
    switch.start()
    for _ in range(3):
        assert not any(switch.failed() for _ in range(8))
        switch.succeeded()
    assert switch.is_on


def test_410_disables_at_once():
    switch = Switch(Counting.DISCARDED)
    switch.start()
    assert switch.failed(gone=True)
    assert not switch.is_on


@pytest.fixture
def answering():
    """A server that answers each post with what a function makes of its number."""
    servers = []

    def serve(status):
        numbers = iter(range(10**6))

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status(next(numbers)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def office(tmp_path, answering):
    journals = []

    def make(status, **options):
        journals.append(journal.Journal(tmp_path / "journal.ndjson"))
        return SuperOffice(answering(status), SECRET, journals[0], patience=0.01, **options)

    yield make
    for each in journals:
        each.close()


def lines(office):
    office.journal.close()
    return [
        (line["kind"], line.get("retry"), line.get("status"))
        for line in journal.read(office.journal.path)
    ]


def test_an_event_is_tried_three_times_with_the_same_event_id_and_then_given_up(office):
    made = office(lambda number: 503 if 0 < number < 4 else 200, in_flight=1).register()
    figures = made.send(Bodies(1).first(1))
    assert (figures.statuses, figures.discarded) == ({503: 3}, 1)
    figures = made.send([Bodies(1)[1]])
    assert (figures.statuses, figures.discarded) == ({503: 3, 200: 1}, 1)
    assert lines(made) == [
        ("post", 0, 200),
        ("registered", None, None),
        ("post", 0, 503),
        ("post", 1, 503),
        ("post", 2, 503),
        ("discarded", None, None),
        ("post", 0, 200),
    ]
    posts = [line for line in journal.read(made.journal.path) if line["kind"] == "post"]
    assert len({line["event_id"] for line in posts[1:4]}) == 1


def test_nine_failures_in_a_row_end_the_sending(office):
    made = office(lambda number: 200 if number == 0 else 503, in_flight=1).register()
    figures = made.send(Bodies(1).first(1000))
    assert figures.posts == 9
    assert figures.disabled == 1
    assert lines(made)[-1][0] == "disabled"


def test_an_administrator_who_perseveres_registers_again(office):
    made = office(
        lambda number: 503 if 0 < number < 12 else 200, in_flight=1, persevering=True
    ).register()
    figures = made.send(Bodies(1).first(20))
    assert figures.disabled == 1
    assert [kind for kind, *_ in lines(made)].count("registered") == 2


def test_registering_needs_a_200(office):
    with pytest.raises(RegistrationError, match="204"):
        office(lambda number: 204).register()


def test_a_rate_is_kept(office):
    made = office(lambda number: 200, rate=200).register()
    figures = made.send(Bodies(1).first(40))
    assert figures.took > 39 / 200
    assert figures.accepted == 40


def test_bodies_are_the_same_from_the_same_seed_and_never_the_same_event():
    first, again = Bodies(7), Bodies(7)
    made = [first[number] for number in range(2000)]
    assert [again[number] for number in range(2000)] == made
    assert len({wire.event_id for wire in made}) == 2000
    assert Bodies(8)[0] != first[0]
