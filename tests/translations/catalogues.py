"""Where the catalogues lie, and what in a text a translation must keep."""

import re
from collections import Counter
from pathlib import Path

import polib

ROOT = Path(__file__).parents[2]
LANGUAGES = ("nb", "sv", "da", "de", "nl")
FOLDERS = ("superoffice_hooks", "project")

# {name}, %(name)s, %s, a doubled per cent sign, and markup.
KEPT = re.compile(r"\{\w*\}|%\(\w+\)[a-z]|%%|%[a-z]|<[^>]+>")


def path(folder: str, language: str, root: Path = ROOT) -> Path:
    """The catalogue that translators edit; the compiled one lies beside it."""
    return root / folder / "locale" / language / "LC_MESSAGES" / "django.po"


def read(folder: str, language: str, root: Path = ROOT) -> polib.POFile:
    return polib.pofile(str(path(folder, language, root)))


def key(entry: polib.POEntry | polib.MOEntry) -> tuple[str | None, str, str]:
    """What a program asks for."""
    return entry.msgctxt, entry.msgid, entry.msgid_plural


def told(catalogue: polib.POFile | polib.MOFile) -> dict[tuple[str | None, str, str], object]:
    """The translations by what a program asks for."""
    return {key(entry): entry.msgstr_plural or entry.msgstr for entry in catalogue}


def changed_by(entry: polib.POEntry) -> list[str]:
    """The translations of this entry that do not keep what the text holds beside its words."""
    if not entry.msgid_plural:
        return [] if same(entry.msgid, entry.msgstr) else [entry.msgstr]
    # A singular may say "one"; every other form has the number.
    return [
        text
        for form, text in entry.msgstr_plural.items()
        if not same(entry.msgid_plural, text) and not (form == 0 and same(entry.msgid, text))
    ]


def same(text: str, translation: str) -> bool:
    return frame(text) == frame(translation)


def frame(text: str) -> tuple[Counter[str], str, str]:
    """The placeholders and the markup of a text, and the white space around it."""
    inner = text.strip()
    before, _, after = text.partition(inner)
    return Counter(KEPT.findall(text)), before, after
