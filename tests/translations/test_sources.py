"""The texts in the code are written so that xgettext finds every one of them."""

import ast

import pytest

from tests.translations.catalogues import FOLDERS, ROOT

# What makemessages has xgettext look for, and how many of the first arguments are texts.
KNOWN = {
    "_": 1,
    "gettext": 1,
    "gettext_lazy": 1,
    "gettext_noop": 1,
    "ngettext": 2,
    "ngettext_lazy": 2,
    "pgettext": 2,
    "pgettext_lazy": 2,
    "npgettext": 3,
    "npgettext_lazy": 3,
}
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in ROOT.glob(f"{folder}/**/*.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_xgettext_can_read_every_text(module):
    tree = ast.parse((ROOT / module).read_text("utf-8"))
    names = {
        (alias.asname or alias.name): alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.name in KNOWN
    }
    assert {name for name in names if name not in KNOWN} == set()
    unreadable = [
        f"line {call.lineno}: {ast.unparse(call)}"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in names
        and not all(
            isinstance(text, ast.Constant) for text in call.args[: KNOWN[names[call.func.id]]]
        )
    ]
    assert unreadable == []
