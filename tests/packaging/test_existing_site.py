"""A site that has never heard of the app, a fresh environment, and the README's own lines."""

import base64
import hashlib
import hmac
import http.cookiejar
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import venv
import zipfile
from html import unescape
from pathlib import Path

import pytest

from tests.builders import body, encode
from tests.translations.catalogues import LANGUAGES

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
SECRET = "the-secret-of-the-existing-site-0123456789"


def readme_blocks(language):
    """The code blocks of the README's section on installation."""
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.split("## Add it to your site")[1].split("\n## ")[0]
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```", section, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_what_the_app_needs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "superoffice_hooks"
    }
    for part in (
        "py.typed",
        "migrations/0001_initial.py",
        "static/superoffice_hooks/admin.css",
        "templates/admin/superoffice_hooks/app_index.html",
        "templates/superoffice_hooks/admin/body.html",
        "templatetags/superoffice_hooks.py",
        "management/commands/superoffice_send.py",
        *(f"locale/{language}/LC_MESSAGES/django.mo" for language in LANGUAGES),
    ):
        assert f"superoffice_hooks/{part}" in names
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "superoffice_hooks").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources - set(names) == set()


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A fresh startproject with the app added as the README says; gives (python, folder)."""
    folder = tmp_path_factory.mktemp("site")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run(folder, python, "-m", "pip", "install", "--quiet", wheel)
    run(folder, python, "-m", "django", "startproject", "mysite", folder)
    settings_app, settings_sqlite, urls, *_ = readme_blocks("python")
    with (folder / "mysite" / "settings.py").open("a") as settings:
        settings.write(f"\n{settings_app}\n{settings_sqlite}")
    with (folder / "mysite" / "urls.py").open("a") as urlconf:
        urlconf.write(f"\n{urls}")
    run(folder, python, "manage.py", "migrate")
    return python, folder


def run(folder, *command, settings=""):
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ
        | {
            "SUPEROFFICE_WEBHOOK_SECRET": SECRET,
            "DJANGO_SUPERUSER_PASSWORD": "admin",
            "DJANGO_SETTINGS_MODULE": "mysite.settings" if "manage.py" in command else settings,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_check_has_nothing_to_say(site):
    python, folder = site
    assert "no issues" in run(folder, python, "manage.py", "check", "--fail-level", "WARNING")


def test_the_readmes_imports_work(site):
    python, folder = site
    code = "import superoffice_hooks; print(superoffice_hooks.__file__)"
    assert str(folder / "venv") in run(folder, python, "-c", code)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_installed_app_speaks_the_language(site, language):
    python, folder = site
    code = (
        "import django; django.setup(); from django.utils import translation; "
        f"translation.activate({language!r}); from superoffice_hooks.models import Event; "
        "print(Event._meta.app_config.verbose_name)"
    )
    [name] = run(folder, python, "-c", code, settings="mysite.settings").splitlines()
    assert name not in ("", "SuperOffice audit trail")


def test_a_signed_delivery_is_seen_in_admin_and_api(site):
    python, folder = site
    superuser = ["createsuperuser", "--noinput", "--username=admin", "--email=a@example.com"]
    run(folder, python, "manage.py", *superuser)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [python, "manage.py", "runserver", "--noreload", str(port)],
        cwd=folder,
        env=os.environ
        | {"SUPEROFFICE_WEBHOOK_SECRET": SECRET, "DJANGO_SETTINGS_MODULE": "mysite.settings"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        wait_for(port)
        webhook = f"{base}/superoffice/webhook/"
        run(folder, python, "manage.py", "superoffice_send", webhook)
        run(folder, python, "manage.py", "superoffice_send", webhook, "--generate", "20")
        raw = encode(body(FieldValues={"name": "Fjordbygg AS"}))
        signature = base64.b64encode(hmac.digest(SECRET.encode(), raw, hashlib.sha256)).decode()
        request = urllib.request.Request(
            webhook, raw, {"X-SuperOffice-Signature": signature, "Content-Type": "text/json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert (answer.status, answer.read()) == (200, b"recorded\n")

        browse = logged_in(base)
        page = browse(f"{base}/admin/superoffice_hooks/event/?q=4711").read().decode()
        assert ">contact 4711</a>" in page
        links = {unescape(href) for href in re.findall('href="(.*?)"', page)}
        [record] = [href for href in links if "/record/?" in href]
        page = browse(base + record).read().decode()
        assert 'class="so-entry"' in page
        assert "Fjordbygg AS" in page
        page = browse(f"{base}/admin/superoffice_hooks/").read().decode()
        assert 'class="so-overview"' in page
        sheets = re.findall('href="(/static/superoffice_hooks/.*?[.]css)"', page)
        assert len(sheets) >= 2
        for sheet in sheets:
            assert b".so-" in browse(base + sheet).read()
        page = browse(f"{base}/superoffice/api/events/?primary_key=4711").read()
        [event] = json.loads(page)["results"]
        assert event["field_values"] == {"name": "Fjordbygg AS"}
        assert event["changed_fields"] == ["name", "orgNr", "updated"]
    finally:
        server.terminate()
        server.wait(10)


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)


def logged_in(base):
    cookies = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    opener.open(f"{base}/admin/login/").close()
    token = next(cookie.value for cookie in cookies if cookie.name == "csrftoken")
    form = {"username": "admin", "password": "admin", "next": "/admin/"}
    form["csrfmiddlewaretoken"] = token
    opener.open(f"{base}/admin/login/", urllib.parse.urlencode(form).encode()).close()
    return opener.open
