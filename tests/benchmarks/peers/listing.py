"""The least that a site has an API for: one filtered list."""

from typing import ClassVar

from django.contrib.auth.models import Group
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.generics import ListAPIView
from rest_framework.serializers import ModelSerializer


class GroupFilter(FilterSet):
    class Meta:
        model = Group
        fields: ClassVar = ["name"]


class GroupSerializer(ModelSerializer[Group]):
    class Meta:
        model = Group
        fields: ClassVar = ["id", "name"]


class GroupList(ListAPIView[Group]):
    queryset = Group.objects.order_by("pk")
    serializer_class = GroupSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = GroupFilter
