"""The demo site as ``application`` for WSGI servers."""

import os

from django.core.wsgi import get_wsgi_application

from superoffice_hooks.wsgi import webhook_first

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = webhook_first(get_wsgi_application())
