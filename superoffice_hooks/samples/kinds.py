"""The entities of the made-up CRM: what their snapshots carry, and what people change in them."""

from dataclasses import dataclass

from superoffice_hooks.wire.values import EMPTY_DATE

Value = str | int
# A value, some to choose from, or "@" and what is drawn: "@sale" is the key of a living sale.
Spec = Value | tuple[str, ...] | range

PLACES = ("Tåkeheimen", "Ørnskrik", "Sølvrognli", "Häggsjövik", "Åskmolnet", "Nøttværet")
TRADES = ("Bølgeverk", "Skogsredskap", "Mätteknik", "Pärlsocker", "Fjøsutstyr", "Båtgång")
NAMES = tuple(
    f"{place} {trade} {form}" for place in PLACES for trade in TRADES for form in ("AS", "AB")
)
TITLES = ("Innkjøpssjef", "Försäljningschef", "Daglig leder", "Ekonomiansvarig", "Rådgiver")
HEADINGS = ("Rammeavtale vår", "Årsavtal service", "Prøveleveranse", "Utökad licens", "Påfyll")
PROJECTS = ("Ny lagerløsning", "Mässan i höst", "Flytting av kontoret", "Språkväxlingen")
COLOURS = ("blå", "grön", "rød", "svart")


@dataclass(frozen=True, slots=True)
class Kind:
    """One entity: its key, what its snapshots carry, and what people change in it.

    A field of ``moves`` that is not in ``sent`` is named in ``Changes``, its value never told;
    the last is always one of those.
    """

    key: str
    sent: dict[str, Spec]
    moves: tuple[str, ...]

    @property
    def stamps(self) -> tuple[str, ...]:
        """The fields that SuperOffice itself sets at every change."""
        plain = ("updated", "updated_associate_id", "updatedCount")
        return ("last_changed",) if self.key == "id" else plain


# fmt: off
KINDS = {
    "contact": Kind("contact_id", {
        "name": NAMES, "orgNr": "@number", "associate_id": "@associate", "business_idx": range(9),
        "category_idx": range(1, 7), "country_id": range(578, 753, 174), "activeInterests": 0,
        "deleted": 0, "DeletedDate": EMPTY_DATE, "source": 0,
    }, ("name", "associate_id", "category_idx", "department", "number1")),
    "person": Kind("person_id", {
        "person_id": 0, "contact_id": "@contact", "title": TITLES, "position_idx": range(5),
        "associate_id": "@associate", "retired": 0, "DeletedDate": EMPTY_DATE,
    }, ("title", "position_idx", "associate_id", "lastname")),
    "sale": Kind("sale_id", {
        "heading": HEADINGS, "amount": range(5_000, 900_000, 2_500), "probability_idx": range(6),
        "contact_id": "@contact", "person_id": "@person", "project_id": "@project",
        "associate_id": "@associate", "appointment_id": 0, "currency_id": 36, "saledate": "@day",
        "saleType_id": range(1, 4), "reason_id": 0, "done": 0, "status": 1,
    }, ("amount", "heading", "probability_idx", "saledate", "earning")),
    "relation": Kind("relation_id", {
        "source_table": 5, "source_record": "@contact", "destination_table": 6,
        "destination_record": "@person", "reldef_id": range(1, 9), "associateId": "@associate",
    }, ("reldef_id", "relcomment")),
    "ticket": Kind("id", {
        "category": range(1, 5), "contact_id": "@contact", "cust_id": "@person", "status": 1,
        "owned_by": "@associate", "priority": range(1, 5), "ticket_status": range(1, 5),
        "connect_id": -1, "has_attachment": 0, "project_id": 0, "sale_id": "@sale",
    }, ("owned_by", "priority", "ticket_status", "category", "read_by_owner")),
    "activity": Kind("appointment_id", {
        "activeDate": "@day", "do_by": "@day", "associate_id": "@associate", "type": range(1, 7),
        "contact_id": "@contact", "person_id": "@person", "sale_id": "@sale", "project_id": 0,
        "document_id": 0, "status": range(1, 4), "private": 0, "task_idx": range(1, 12),
    }, ("status", "do_by", "associate_id", "location")),
    "project": Kind("project_id", {
        "name": PROJECTS, "associate_id": "@associate", "status_idx": range(1, 5), "done": 0,
        "type_idx": range(1, 4), "activeLinks": 0,
    }, ("status_idx", "name", "associate_id", "endDate")),
    "document": Kind("document_id", {
        "document_id": 0, "appointment_id": "@activity", "application_id": range(3),
    }, ("application_id", "header")),
    "y_car": Kind("id", {
        "id": 0, "x_contact": "@contact", "x_mileage": range(0, 180_000, 500),
        "x_colour": COLOURS, "dbi_agent_id": -1,
    }, ("x_mileage", "x_colour", "x_note")),
}
TRAFFIC = {  # what happens in a working week, and how often
    "contact.changed": 15, "contact.created": 5, "contact.deleted": 2, "person.changed": 13,
    "person.created": 6, "person.consented": 2, "person.deleted": 1, "sale.changed": 14,
    "sale.created": 5, "sale.sold": 2, "sale.lost": 1, "sale.completed": 1, "sale.deleted": 1,
    "ticket.changed": 11, "ticket.created": 6, "activity.created": 4, "activity.changed": 3,
    "relation.created": 3, "relation.changed": 1, "relation.deleted": 1, "project.changed": 2,
    "project.created": 1, "document.created": 2, "document.edited": 2, "y_car.created": 1,
    "y_car.changed": 2, "y_car.deleted": 1, "list.category.changed": 1,
}
NAMES_ONLY = {  # events that tell the names of some fields and no values
    "person.consented": ("consentperson_id", "legalBase_id", "consentSource_id", "updated"),
    "document.edited": (),
    "list.category.changed": ("Category_id", "name", "rank", "tooltip", "updated"),
}
OUTCOMES = {"sold": {"status": 2}, "lost": {"status": 3}, "completed": {"done": 1}}
LINKS = ("associate_id", "appointment_id", "contact_id", "person_id", "project_id", "sale_id")
# fmt: on
