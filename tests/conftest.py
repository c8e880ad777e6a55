import hypothesis
import pytest

# A machine that is busy is no defect.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _nothing_of_another_test(monkeypatch):
    """What the process remembers from one delivery to the next; alarms are told at once."""
    from superoffice_hooks import alarms

    monkeypatch.setattr(alarms, "_in_background", lambda tell: tell())
    yield
    from superoffice_hooks.intake.deadline import breaker
    from superoffice_hooks.intake.drain import drainer

    drainer.stop()
    breaker.reset()
    alarms._last.clear()


@pytest.fixture
def spool(settings, tmp_path, monkeypatch):
    """A spool of the test's own, which nothing drains by itself."""
    from superoffice_hooks.intake.drain import drainer
    from superoffice_hooks.intake.spool import Spool

    monkeypatch.setattr(drainer, "start", lambda spool: None)
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": tmp_path / "spool"}
    return Spool(tmp_path / "spool")


@pytest.fixture(autouse=True)
def _no_memory_of_what_another_test_was_refused(monkeypatch):
    from superoffice_hooks.intake import refused

    monkeypatch.setattr(refused, "turnstile", refused.Turnstile())
