import os
import shutil

import pytest
from django.contrib.auth import get_user_model

# Playwright keeps an event loop in the main thread, and Django takes that for async code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(scope="session")
def browser_type_launch_args():
    """Drive the system's Chromium: Playwright's own is a download."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("These tests drive Chromium, and there is none: install the chromium package.")
    return {
        "executable_path": chromium,
        "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    }


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=[390, 1280], ids=["phone", "desktop"])
def width(request):
    return request.param


@pytest.fixture
def page(live_server, browser, scheme, width):
    """A logged-in page that fails on whatever the content security policy had to stop."""
    get_user_model().objects.create_superuser("auditor", "a@example.com", "auditor")
    context = browser.new_context(
        base_url=live_server.url,
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page = context.new_page()
    problems = []
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto("/admin/login/")
    page.get_by_label("Username").fill("auditor")
    page.get_by_label("Password").fill("auditor")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
    yield page
    context.close()
    assert problems == []
