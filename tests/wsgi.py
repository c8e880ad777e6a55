"""A site whose deliveries take the short way, as ``application`` for WSGI servers."""

from django.core.wsgi import get_wsgi_application

from superoffice_hooks.wsgi import webhook_first

application = webhook_first(get_wsgi_application())
