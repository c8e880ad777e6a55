"""Bodies that coverage guides, past the parser: only ``PayloadError`` may come out.

Run it as ``python -m tests.fuzz.atheris_bodies -runs=100000``; the options are libFuzzer's. It
begins with the bodies of ``tests/payloads`` and the small ones of the catalogue, and goes where
the parser has lines that none of them reached. What is read must be storable: valid JSON in valid
UTF-8 without NUL. A body that breaks this is written to a file ``crash-…`` of the current folder.
"""

import json
import os
import sys
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

MISSING = "atheris is not installed, which has wheels for Linux on x86-64 only: pip install atheris"
MAX_SEED = 4_096  # bytes
DICTIONARY = (
    *('"Event"', '"EventId"', '"PrimaryKey"', '"Timestamp"', '"Changes"', '"Values"', "null"),
    *('"FieldValues"', '"ContextIdentifier"', '"ChangedByAssociateId"', '"WebhookName"', "true"),
    *('"Entity"', '"test"', "NaN", "Infinity", "-0", "1e999", "9223372036854775808", "[[[[", "}}"),
    *("\\ud800", "\\u0000", "2026-03-02T09:15:27Z", "\xff\xfe", "\xef\xbb\xbf", "\x1f\x8b\x08"),
)


def main(arguments: list[str]) -> int:
    """Fuzz as the options say; return libFuzzer's exit status, 1 where atheris is missing."""
    if find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        # libFuzzer ends its process by itself, and would leave the folder.
        fuzzing = get_context("fork").Process(target=fuzz, args=(arguments, Path(folder)))
        fuzzing.start()
        fuzzing.join()
    return fuzzing.exitcode or 0


def fuzz(arguments: list[str], folder: Path) -> None:
    """Begin with the seeds, which this folder takes up with what is found."""
    import atheris

    with atheris.instrument_imports(include=["superoffice_hooks.wire"]):
        from superoffice_hooks.exceptions import PayloadError
        from superoffice_hooks.wire.payload import parse

    def read(raw: bytes) -> None:
        try:
            payload = parse(raw)
            texts = [payload.name, payload.entity, payload.action, payload.webhook_name]
            texts += [payload.context_identifier, *payload.changes]
            held = [texts, payload.values, payload.field_values, payload.properties]
            text = json.dumps(held, allow_nan=False, ensure_ascii=False)
            text.encode()
            if "\\u0000" in text.replace("\\\\", ""):
                raise AssertionError("NUL has come through.")
        except PayloadError:
            return
        except Exception:
            Path(f"crash-{sha256(raw).hexdigest()[:16]}").write_bytes(raw)
            raise

    corpus, dictionary = folder / "corpus", folder / "dictionary"
    corpus.mkdir()
    for number, seed in enumerate(seeds()):
        (corpus / f"{number:04}").write_bytes(seed)
    words = (word.encode("latin-1") for word in DICTIONARY)
    dictionary.write_text(
        "\n".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in words)
    )
    options = [f"-dict={dictionary}", f"-max_len={MAX_SEED}", *arguments, str(corpus)]
    atheris.Setup([sys.argv[0], *options], read)
    atheris.Fuzz()


def seeds() -> list[bytes]:
    """Return the bodies to begin with."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    from tests.builders import encode
    from tests.intake.cases import QUARANTINED, RECORDED
    from tests.payloads import PAYLOADS

    known: list[bytes] = [encode(wire) for wire in PAYLOADS]
    known += [case.values[0] for case in (*RECORDED, *QUARANTINED)]
    return [raw for raw in known if len(raw) <= MAX_SEED]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
