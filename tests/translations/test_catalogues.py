"""The catalogues as they are committed: complete, faithful, and compiled."""

import gettext

import polib
import pytest
from django.utils.translation import trans_real

from tests.translations.catalogues import (
    FOLDERS,
    LANGUAGES,
    changed_by,
    key,
    path,
    read,
    told,
)

pytestmark = pytest.mark.parametrize(
    ("folder", "language"), [(folder, language) for folder in FOLDERS for language in LANGUAGES]
)
FEWEST = {"superoffice_hooks": 150, "project": 5}


def test_every_text_is_translated(folder, language):
    catalogue = read(folder, language)
    assert len(catalogue) > FEWEST[folder]
    assert [entry.msgid for entry in catalogue if not entry.translated()] == []
    assert [entry.msgid for entry in catalogue if entry.fuzzy] == []
    assert [entry.msgid for entry in catalogue if entry.obsolete] == []


def test_placeholders_markup_and_white_space_are_kept(folder, language):
    assert {
        entry.msgid: changed for entry in read(folder, language) if (changed := changed_by(entry))
    } == {}


def test_every_language_has_the_same_texts(folder, language):
    texts = {key(entry) for entry in read(folder, language)}
    assert texts ^ {key(entry) for entry in read(folder, LANGUAGES[0])} == set()


def test_the_header_names_language_and_plural_forms(folder, language):
    header = read(folder, language).metadata
    assert header["Language"] == language
    assert header["Content-Type"] == "text/plain; charset=UTF-8"
    djangos = trans_real.DjangoTranslation(language).plural
    forms = gettext.c2py(header["Plural-Forms"].partition("plural=")[2].strip("; "))
    assert [forms(number) for number in range(200)] == [djangos(number) for number in range(200)]


def test_the_compiled_catalogue_is_up_to_date(folder, language):
    compiled = path(folder, language).with_suffix(".mo")
    assert compiled.exists()
    assert told(polib.mofile(str(compiled))) == told(read(folder, language))
    with compiled.open("rb") as file:
        loaded = gettext.GNUTranslations(file)
    assert loaded.info()["language"] == language
    for entry in read(folder, language):
        if entry.msgctxt is None and not entry.msgid_plural:
            assert loaded.gettext(entry.msgid) == entry.msgstr
