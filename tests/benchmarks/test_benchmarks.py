"""Each part at a tiny size: what is counted is right. Nothing that is timed decides."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from django.db import connection

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.wire.payload import parse
from tests.benchmarks import bulk, fill, reads, space, startup
from tests.benchmarks.bodies import ACTIONS, BUSY, Bodies
from tests.benchmarks.processes import ROOT
from tests.benchmarks.site import write

pytestmark = pytest.mark.benchmarks

with_rows = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "mysql", reason="The benchmarks are not for MariaDB"),
]


def test_bodies_are_of_the_promised_shapes_and_never_alike():
    made = [body.raw for body in Bodies(7).first(2_000)]
    told = [parse(raw) for raw in made]
    shapes = {(p.action, len(p.changes), len(p.field_values), len(p.values)) for p in told}
    assert shapes == {("changed", 6, 13, 0), ("created", 30, 13, 0), ("deleted", 0, 0, 4)}
    actions = Counter(payload.action for payload in told)
    assert all(abs(actions[action] - 20 * share) < 80 for action, share in ACTIONS.items())
    assert len({json.dumps(dict(payload.field_values)) for payload in told}) > 1_700
    assert len({payload.event_id for payload in told}) == 2_000
    assert abs(sum(map(len, made)) / 2_000 - 715) < 15
    assert made == [body.raw for body in Bodies(7).first(2_000)]
    assert made[0] != Bodies(8)[0].raw


def test_templates_repeat_values_and_nothing_else():
    told = [parse(body.raw) for body in Bodies(templates=5).first(100)]
    assert len({json.dumps(dict(payload.field_values)) for payload in told}) <= 5
    assert len({payload.event_id for payload in told}) == 100


@pytest.mark.parametrize(
    ("part", "stored"),
    [("sqlite", {"orm": 20, "superoffice_hooks": 20, "webhook_first": 20}), ("memory", {})],
)
def test_what_posts_over_http_gets_200_for_every_row(part, stored, tmp_path):
    command = [sys.executable, "-m", "tests.benchmarks", part, "--events=20", "--rounds=1"]
    options = ["--threads=2", "--workers=1", "--connections=4", f"--out={tmp_path / 'out'}"]
    run = subprocess.run(
        [*command, *options, "--database="], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "out").read_text())
    if part == "memory":
        assert {not_200 for _, _, not_200 in found} == {0}
    else:
        assert {each["system"]: each["stored"] for each in found} == stored
        assert all(each["answers"] == {"200": each["stored"]} for each in found)


class TestRows:
    pytestmark = with_rows

    def test_everything_that_waits_is_drained_rebuilt_and_copied(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TEST_DATABASE_FOLDER", str(tmp_path))
        results = bulk.measure(12, Bodies(), tmp_path)
        assert [result.rows for result in results] == [12, 12, 12]
        assert Delivery.objects.count() == 12
        assert bulk.shown(12, results).count("yes") == 3

    def test_space_is_told_of_what_was_stored(self):
        found = space.measure(12, Bodies())
        assert found.events == Event.objects.count() == 12
        assert found.total > 0
        assert "all" in space.shown(found)

    def test_a_filled_trail_is_whole_and_every_page_of_it_answers(self, monkeypatch):
        monkeypatch.setattr(fill, "BASE", 40)
        indexes = _indexes()
        assert not fill.is_filled(120)
        assert fill.fill(120) == 120
        assert fill.is_filled(120)
        assert _indexes() == indexes
        assert Delivery.objects.values("event").distinct().count() == 120
        assert Event.objects.values("event_id").distinct().count() == 120
        assert Event.objects.exclude(fingerprint=None).count() == 120
        assert Event.objects.filter(primary_key=BUSY).count() == 3
        first, last = Event.objects.earliest("occurred_at"), Event.objects.latest("occurred_at")
        assert 720 < (last.occurred_at - first.occurred_at).days < 731
        by_id, by_time = (
            [*Event.objects.order_by(order).values_list("pk", flat=True)]
            for order in ("pk", "occurred_at")
        )
        assert {*by_id[:40]} == {*by_time[:40]}
        assert {*by_id[-40:]} == {*by_time[-40:]}
        assert write(Bodies(9).first(1), threads=1) == 1
        pages = reads.measure(0, reads.admin_pages() | reads.api_pages())
        assert {page.name: page.status for page in pages if page.status != 200} == {}
        assert reads.unasked() == []
        [page] = reads.measure(1, {"one": next(iter(reads.pairs().values()))})
        assert page.queries > 0
        assert "one" in reads.shown(120, [page], reads.figures(120, [page]))


def _indexes():
    with connection.cursor() as cursor:
        return {
            name: told["columns"]
            for table in (Event._meta.db_table, Delivery._meta.db_table)
            for name, told in connection.introspection.get_constraints(cursor, table).items()
        }


@pytest.mark.parametrize("name", startup.SITES)
def test_each_site_whose_start_is_measured_is_sound(name):
    startup.check(name)
