import django.db.models.deletion
from django.db import migrations, models

import superoffice_hooks.models.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("event_id", superoffice_hooks.models.fields.GuidField(verbose_name="event id")),
                (
                    "name",
                    superoffice_hooks.models.fields.ExactCharField(
                        help_text="For example contact.changed.",
                        max_length=255,
                        verbose_name="event",
                    ),
                ),
                (
                    "entity",
                    superoffice_hooks.models.fields.ExactCharField(
                        max_length=255, verbose_name="entity"
                    ),
                ),
                (
                    "action",
                    superoffice_hooks.models.fields.ExactCharField(
                        max_length=255, verbose_name="action"
                    ),
                ),
                (
                    "primary_key",
                    models.BigIntegerField(
                        help_text="The id of the record in SuperOffice.", verbose_name="primary key"
                    ),
                ),
                (
                    "context_identifier",
                    superoffice_hooks.models.fields.ExactCharField(
                        help_text="The tenant: Cust12345 online, Default or empty on-site.",
                        max_length=255,
                        verbose_name="context identifier",
                    ),
                ),
                (
                    "changed_by_associate_id",
                    models.BigIntegerField(
                        help_text="The associate's id; 0 is the system.",
                        verbose_name="changed by associate",
                    ),
                ),
                (
                    "webhook_name",
                    superoffice_hooks.models.fields.ExactCharField(
                        max_length=255, verbose_name="webhook name"
                    ),
                ),
                (
                    "occurred_at",
                    models.DateTimeField(
                        help_text="When SuperOffice says that it happened.",
                        verbose_name="occurred at",
                    ),
                ),
                ("received_at", models.DateTimeField(verbose_name="received at")),
                (
                    "field_values",
                    models.JSONField(
                        default=dict,
                        encoder=superoffice_hooks.models.fields.WireEncoder,
                        help_text="The values of the record after the change, where SuperOffice sent them.",
                        verbose_name="field values",
                    ),
                ),
                (
                    "properties",
                    models.JSONField(
                        default=dict,
                        encoder=superoffice_hooks.models.fields.WireEncoder,
                        help_text="Keys of the body that are not SuperOffice's own.",
                        verbose_name="properties",
                    ),
                ),
                (
                    "flags",
                    models.JSONField(
                        default=list,
                        help_text="How these rows differ from the bytes of the delivery.",
                        verbose_name="flags",
                    ),
                ),
            ],
            options={
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "ordering": ["-occurred_at", "-id"],
                "indexes": [
                    models.Index(fields=["occurred_at", "id"], name="so_event_time"),
                    models.Index(
                        fields=["context_identifier", "occurred_at", "id"], name="so_event_ctx"
                    ),
                    models.Index(fields=["entity", "occurred_at", "id"], name="so_event_entity"),
                    models.Index(fields=["action", "occurred_at", "id"], name="so_event_action"),
                    models.Index(fields=["name", "occurred_at", "id"], name="so_event_name"),
                    models.Index(
                        fields=["primary_key", "entity", "context_identifier", "occurred_at", "id"],
                        name="so_event_record",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event_id", "context_identifier", "name", "primary_key"),
                        name="superoffice_hooks_event_key",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DeletedValue",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "event_id",
                        "name",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "name",
                    superoffice_hooks.models.fields.ExactCharField(
                        max_length=255, verbose_name="field"
                    ),
                ),
                (
                    "value",
                    models.JSONField(
                        encoder=superoffice_hooks.models.fields.WireEncoder,
                        null=True,
                        verbose_name="value",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deleted_values",
                        to="superoffice_hooks.event",
                    ),
                ),
            ],
            options={
                "verbose_name": "deleted value",
                "verbose_name_plural": "deleted values",
                "ordering": ["event_id", "name"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "endpoint",
                    superoffice_hooks.models.fields.ExactCharField(
                        max_length=255, verbose_name="endpoint"
                    ),
                ),
                ("received_at", models.DateTimeField(verbose_name="received at")),
                (
                    "outcome",
                    superoffice_hooks.models.fields.ExactCharField(
                        choices=[
                            ("recorded", "recorded"),
                            ("duplicate", "duplicate"),
                            ("test", "test"),
                            ("quarantined", "quarantined"),
                            ("refused", "refused"),
                        ],
                        max_length=16,
                        verbose_name="outcome",
                    ),
                ),
                ("reason", models.TextField(blank=True, verbose_name="reason")),
                (
                    "signature",
                    superoffice_hooks.models.fields.ExactCharField(
                        blank=True, max_length=255, verbose_name="signature"
                    ),
                ),
                (
                    "key_id",
                    superoffice_hooks.models.fields.ExactCharField(
                        blank=True,
                        help_text="Which of the endpoint's secrets gave the signature.",
                        max_length=8,
                        verbose_name="key id",
                    ),
                ),
                (
                    "remote_address",
                    superoffice_hooks.models.fields.ExactCharField(
                        blank=True,
                        help_text="The other end of the connection, as the server reports it.",
                        max_length=45,
                        verbose_name="remote address",
                    ),
                ),
                (
                    "headers",
                    models.JSONField(
                        default=dict,
                        help_text="Not covered by the signature: evidence, not proof.",
                        verbose_name="headers",
                    ),
                ),
                ("body", models.BinaryField(verbose_name="body")),
                (
                    "event",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="superoffice_hooks.event",
                        verbose_name="event",
                    ),
                ),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["outcome", "id"], name="so_delivery_outcome")],
            },
        ),
        migrations.CreateModel(
            name="ChangedField",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "event_id",
                        "position",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(verbose_name="position")),
                (
                    "name",
                    superoffice_hooks.models.fields.ExactCharField(
                        max_length=255, verbose_name="field"
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="changed_fields",
                        to="superoffice_hooks.event",
                    ),
                ),
            ],
            options={
                "verbose_name": "changed field",
                "verbose_name_plural": "changed fields",
                "ordering": ["event_id", "position"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("name", "event"), name="superoffice_hooks_changedfield_once"
                    )
                ],
            },
        ),
    ]
