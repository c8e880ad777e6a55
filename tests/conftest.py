import os

import hypothesis
import pytest
from django.test import Client

# A machine that is busy is no defect.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

CI = os.environ.get("CI") == "true"


@pytest.fixture
def strict_client():
    """A client that enforces CSRF checks, as a browser's requests would meet them."""
    return Client(enforce_csrf_checks=True)
