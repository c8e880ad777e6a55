"""Puts the faults that the environment asks for into a process, when its apps are loaded."""

import os

from django.apps import AppConfig


class FaultsConfig(AppConfig):
    """The app that holds no models, and makes the others fail."""

    name = "tests.reliability"
    label = "reliability"

    def ready(self) -> None:
        """Install crash points, failing steps, a jumping clock and a planted fault."""
        from tests.reliability import clock, crash, faulty

        crash.install(os.environ.get("CRASH", ""), os.environ.get("FAIL", ""))
        if os.environ.get("CLOCK"):
            clock.install(float(os.environ["CLOCK"]))
        if os.environ.get("PLANTED"):
            faulty.plant(os.environ["PLANTED"])
