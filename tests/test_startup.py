"""What a start of a site does not import: ``manage.py check`` pays for the app once a command."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What takes long to import, and only some page, answer or command needs.
NOT_AT_START = {
    "superoffice_hooks.admin.body",
    "superoffice_hooks.admin.charts",
    "superoffice_hooks.admin.event",
    "superoffice_hooks.admin.overview",
    "superoffice_hooks.admin.record",
    "superoffice_hooks.api.answers",
    "superoffice_hooks.api.schema",
    "superoffice_hooks.health",
    "superoffice_hooks.intake.rebuild",
    "superoffice_hooks.management.doctor",
    "superoffice_hooks.samples",
    "superoffice_hooks.sender",
    "superoffice_hooks.trail.activity",
    "superoffice_hooks.trail.dossier",
    "superoffice_hooks.trail.export",
    "superoffice_hooks.trail.formats",
    "superoffice_hooks.trail.history",
    "superoffice_hooks.trail.manifest",
    "superoffice_hooks.trail.outages",
    "superoffice_hooks.trail.related",
    "superoffice_hooks.trail.silence",
    "superoffice_hooks.trail.timeline",
    # What the requirements bring for others.
    "drf_spectacular",
    "health_check",
    "rest_framework.authtoken",
    "rest_framework.routers",
    "concurrent.futures.process",
    "multiprocessing.pool",
}
# What the first delivery must find there: it has seconds.
AT_START = {
    "superoffice_hooks.intake.drain",
    "superoffice_hooks.intake.group_commit",
    "superoffice_hooks.intake.ingest",
    "superoffice_hooks.intake.insert",
    "superoffice_hooks.intake.refused",
    "superoffice_hooks.intake.rows",
    "superoffice_hooks.intake.settle",
    "superoffice_hooks.intake.spool",
    "superoffice_hooks.intake.view",
    "superoffice_hooks.wire.fingerprint",
    "superoffice_hooks.wire.packed",
    "superoffice_hooks.wire.payload",
    "superoffice_hooks.wire.signature",
}
# A start compiles the methods of each, and makes a named tuple in a fraction of that. These hide
# secrets and bodies in their repr, or have a field that a tuple has as a method.
DATACLASSES = {"Arrival", "Endpoint", "NewEvent", "RefusedSample"}

CHECK = """
import sys
import django
from django.core.management import call_command

django.setup()
call_command("check")
print(*sys.modules)
"""
COUNT = """
import sys
from dataclasses import is_dataclass
import django
from django.core.management import call_command

django.setup()
call_command("check")
for name, module in [*sys.modules.items()]:
    if name.startswith("superoffice_hooks"):
        for each in vars(module).values():
            if is_dataclass(each) and isinstance(each, type):
                print(f"dataclass:{each.__name__}")
"""
DELIVER = """
import sys
import django
from django.test import RequestFactory
from django.urls import resolve

django.setup()
webhook = resolve("/superoffice/webhook/").func
before = {*sys.modules}
request = RequestFactory().post("/superoffice/webhook/", b"{}", content_type="application/json")
assert webhook(request).status_code == 401
print(*(name for name in {*sys.modules} - before if name.startswith("superoffice_hooks")))
"""


def names_printed_by(program: str) -> set[str]:
    """Run this in an interpreter of its own, on the site that the benchmark of a start checks."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers.settings",
        "BENCHMARK_APPS": "app",
        "DATABASE_URL": "sqlite://:memory:",
    }
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {*ran.stdout.split()}


def test_a_start_imports_what_takes_deliveries_and_not_what_shows_them():
    imported = names_printed_by(CHECK)
    assert imported & NOT_AT_START == set()
    assert AT_START - imported == set()


def test_a_start_makes_no_dataclass_where_a_named_tuple_would_do():
    printed = names_printed_by(COUNT)
    found = {name.removeprefix("dataclass:") for name in printed if name.startswith("dataclass:")}
    assert found == DATACLASSES


def test_the_first_delivery_imports_nothing_more_of_the_app():
    assert names_printed_by(DELIVER) == set()
