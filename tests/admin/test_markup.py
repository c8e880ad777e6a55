"""What came over the wire is text, and our templates bring no script and no inline style."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import superoffice_hooks
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, post

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&</pre>"
TEMPLATES = sorted(Path(superoffice_hooks.__file__).parent.rglob("*.html"))


class Markup(HTMLParser):
    """Collects what a Content-Security-Policy without 'unsafe-inline' would refuse."""

    def __init__(self, html):
        super().__init__()
        self.inline = []
        self.images = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(self.get_starttag_text())
        if any(name == "style" or name.startswith("on") for name in given):
            self.inline.append(self.get_starttag_text())
        if any(str(value).strip().lower().startswith("javascript:") for value in given.values()):
            self.inline.append(self.get_starttag_text())
        if tag == "img":
            self.images.append(given.get("src"))


@pytest.fixture
def pages(admin_client):
    """Each admin page, full of hostile text."""
    answer = post(
        body(
            Event=f"{HOSTILE}.changed",
            Entity=HOSTILE,
            ContextIdentifier=HOSTILE,
            WebhookName=HOSTILE,
            Changes=[HOSTILE],
            Values={HOSTILE: HOSTILE},
            FieldValues={HOSTILE: {HOSTILE: [HOSTILE]}},
            **{HOSTILE: HOSTILE},
        ),
        **{"X_Evil": HOSTILE},
    )
    assert answer.content == b"recorded\n"
    Delivery.objects.create(
        endpoint=HOSTILE,
        received_at=Event.objects.get().received_at,
        outcome="quarantined",
        reason=HOSTILE,
        event=Event.objects.get(),
        signature=HOSTILE,
        headers={HOSTILE: HOSTILE},
        body=HOSTILE.encode(),
    )
    urls = [
        "event/",
        "delivery/",
        f"event/{Event.objects.get().pk}/change/",
        *(f"delivery/{delivery.pk}/change/" for delivery in Delivery.objects.all()),
    ]
    return {
        url: admin_client.get(f"/admin/superoffice_hooks/{url}").content.decode() for url in urls
    }


@pytest.mark.django_db
def test_hostile_text_is_shown_and_never_run(pages):
    for url, html in pages.items():
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html, url
        assert "<script>alert" not in html, url
        markup = Markup(html)
        assert (markup.inline, "x" in markup.images) == ([], False), url


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_brings_no_script_and_no_inline_style(template):
    text = template.read_text()
    assert not re.search(
        r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", text, re.IGNORECASE
    )
    assert not re.search(r"\|\s*safe\b|autoescape\s+off|mark_safe", text)
