import pytest
from django.contrib.auth.models import Permission


@pytest.fixture
def login(client, django_user_model):
    """Log in somebody with these permissions and no others."""

    def login(*codenames):
        user = django_user_model.objects.create_user("olga", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return login
