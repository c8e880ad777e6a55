"""The site of the tests under django-unfold; nothing of the app is subclassed."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]

# The scripts of unfold itself need more than our pages do.
MIDDLEWARE = [name for name in MIDDLEWARE if name != "tests.policy.strict_policy"]
