"""One URL for each way to take a delivery, or for what a start is compared with."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns: list[Any] = [path("admin/", admin.site.urls)]
if settings.CHOSEN in ("app", "all"):
    urlpatterns.append(path("superoffice/", include("superoffice_hooks.urls")))
if settings.CHOSEN == "uses":
    from tests.benchmarks.peers.listing import GroupList

    urlpatterns.append(path("groups/", GroupList.as_view()))
if settings.CHOSEN == "all":
    from tests.benchmarks.peers import views

    urlpatterns += [
        path("floor/", views.floor),
        path("blob/", views.blob),
        path("orm/", views.orm),
        path("bulk/", views.bulk),
        path("auditlog/", views.audited),
    ]
if settings.HAS_DJSTRIPE:
    urlpatterns.append(path("stripe/", include("djstripe.urls", namespace="djstripe")))
