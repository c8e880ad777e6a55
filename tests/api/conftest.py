import pytest
from django.contrib.auth.models import Permission


@pytest.fixture
def reader(client, django_user_model):
    """Somebody with the ``view`` permissions and nothing else."""
    user = django_user_model.objects.create_user("reader")
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_event", "view_delivery"])
    )
    client.force_login(user)
    return client


@pytest.fixture
def scoped(reader, settings):
    """The same, who may see one tenant."""
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: ["Mine"],
    }
    return reader
