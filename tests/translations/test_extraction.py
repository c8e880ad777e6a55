"""The catalogues hold the texts of code and templates, by Django's own extraction."""

import os
import shutil
import subprocess
import sys

import polib
import pytest

from tests.translations.catalogues import FOLDERS, LANGUAGES, ROOT, key, path, read, told

pytestmark = pytest.mark.translations

# As the README tells those who changed a text.
MAKE = "python manage.py makemessages --all --no-location --no-wrap --ignore=tests --ignore=venv"
COMPILE = "python manage.py compilemessages --ignore=.* --ignore=venv"
EVERY = [(folder, language) for folder in FOLDERS for language in LANGUAGES]


@pytest.fixture(scope="module", autouse=True)
def tools():
    for tool in ("xgettext", "msguniq", "msgmerge", "msgattrib", "msgfmt"):
        if shutil.which(tool) is None:
            pytest.fail(f"There is no {tool}: install the gettext package.")


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    """A copy of the sources, after the README's two commands."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in (*FOLDERS, "templates"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", copy)
    for compiled in copy.glob("*/locale/*/LC_MESSAGES/*.mo"):
        compiled.unlink()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    for command in (MAKE, COMPILE):
        done = subprocess.run(
            [sys.executable, *command.split()[1:]],
            cwd=copy,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return copy


def test_the_readme_names_the_commands():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert MAKE in readme
    assert COMPILE.replace(".*", "'.*'") in readme  # a shell would spell the pattern out


@pytest.mark.parametrize(("folder", "language"), EVERY)
def test_no_text_is_missing_and_none_is_left_over(remade, folder, language):
    found, committed = read(folder, language, remade), read(folder, language)
    assert {key(entry) for entry in found if not entry.obsolete} ^ {
        key(entry) for entry in committed
    } == set()
    assert [entry.msgid for entry in found if entry.fuzzy] == []
    assert told(found) == told(committed)


@pytest.mark.parametrize(("folder", "language"), EVERY)
def test_the_compiled_catalogue_is_what_msgfmt_makes(remade, folder, language):
    made, committed = (path(folder, language, root).with_suffix(".mo") for root in (remade, ROOT))
    assert committed.exists()
    assert told(polib.mofile(str(made))) == told(polib.mofile(str(committed)))
