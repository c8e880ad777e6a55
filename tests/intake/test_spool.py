"""The spool: files that survive, folders that keep others out, and what is torn or altered."""

import errno
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from superoffice_hooks.intake import spool as spool_module
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.spool import ABANDONED, Spool, SpoolFileError, read
from tests.builders import body, encode

MOMENT = datetime(2026, 3, 2, 9, 15, 27, 123456, UTC)


def arrival_of(raw=None, received_at=MOMENT):
    return Arrival(
        endpoint="acme",
        received_at=received_at,
        body=encode(body()) if raw is None else raw,
        headers={"X-SuperOffice-Retry": "1", "odd": "\udcff"},
        remote_address="203.0.113.7",
        signature="c2lnbmVk",
        key_id="0a1b2c3d",
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "a" / "spool"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n", id="line break"),
        pytest.param(bytes(range(256)) * 5000, id="every byte"),
        pytest.param(encode(body()), id="event"),
    ],
)
def test_what_is_kept_is_read_back_as_it_was(folder, raw):
    arrival = arrival_of(raw)
    path = Spool(folder).keep(arrival)
    assert read(path.read_bytes()) == arrival


def test_files_and_folders_are_the_owners_alone(folder):
    before = os.umask(0)
    try:
        path = Spool(folder).keep(arrival_of())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for made in (folder, folder / "new", folder / "tmp", folder / "bad"):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_those_who_wait_are_in_the_order_of_their_arrival(folder):
    spool = Spool(folder)
    moments = [MOMENT + timedelta(microseconds=n) for n in (5, 1, 3)]
    for moment in moments:
        spool.keep(arrival_of(received_at=moment))
    read_back = [read(path.read_bytes()).received_at for path in spool.waiting()]
    assert read_back == sorted(moments)


def test_two_of_the_same_moment_are_two(folder):
    spool = Spool(folder)
    assert spool.is_empty()
    spool.keep(arrival_of())
    spool.keep(arrival_of())
    assert len(spool.waiting()) == 2
    assert not spool.is_empty()


def test_a_folder_that_is_not_there_yet_is_an_empty_spool(folder):
    spool = Spool(folder)
    assert (spool.waiting(), spool.damaged(), spool.is_empty()) == ([], [], True)
    assert not folder.exists()


def test_the_file_is_synced_before_it_gets_its_name_and_then_its_folder(folder, monkeypatch):
    steps = []

    def note(name):
        real = getattr(os, name)

        def noted(*arguments):
            where = arguments[0]
            if name == "fsync":
                where = os.readlink(f"/proc/self/fd/{where}")
            steps.append((name, Path(where).parent.name, Path(where).name))
            return real(*arguments)

        monkeypatch.setattr(spool_module.os, name, noted)

    spool = Spool(folder)
    spool.keep(arrival_of())  # makes the folders
    note("fsync")
    note("rename")
    kept = spool.keep(arrival_of())
    assert steps == [
        ("fsync", "tmp", kept.name),
        ("rename", "tmp", kept.name),
        ("fsync", "spool", "new"),
    ]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_where_the_disk_refuses_nothing_is_left_behind(folder, monkeypatch, step):
    spool = Spool(folder)
    spool._make_folders()

    def refuse(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module.os, step, refuse)
    with pytest.raises(OSError, match="No space left"):
        spool.keep(arrival_of())
    monkeypatch.undo()
    assert spool.is_empty()


def test_what_a_crash_left_in_tmp_waits_as_well_once_nobody_is_writing_it(folder):
    spool = Spool(folder)
    left = spool.tmp / spool.keep(arrival_of()).name
    os.rename(spool.new / left.name, left)
    assert spool.waiting() == []
    assert not spool.is_empty()
    long_ago = left.stat().st_mtime - ABANDONED - 1
    os.utime(left, (long_ago, long_ago))
    assert spool.waiting() == [left]


def test_a_file_that_is_gone_is_nobodys_leftover(folder):
    assert spool_module._age(folder / "gone") == 0.0


def test_a_damaged_file_is_set_aside_and_stays(folder):
    spool = Spool(folder)
    path = spool.keep(arrival_of())
    aside = spool.set_aside(path)
    assert (spool.waiting(), spool.damaged()) == ([], [aside])
    assert read(aside.read_bytes()) == arrival_of(read(aside.read_bytes()).body)


def test_every_cut_and_every_flipped_byte_is_noticed(folder):
    content = Spool(folder).keep(arrival_of(b'{"Event":"a.b"}')).read_bytes()
    damaged = [content[:length] for length in range(len(content))]
    damaged += [
        content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        for place in range(len(content))
    ]
    damaged.append(content + b"\n")
    for each in damaged:
        with pytest.raises(SpoolFileError, match="torn, or was altered"):
            read(each)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"version": 2}, "another version", id="version"),
        pytest.param(
            {"received_at": "yesterday"}, "not what superoffice_hooks writes", id="moment"
        ),
        pytest.param({"colour": "red"}, "not what superoffice_hooks writes", id="key"),
        pytest.param({"received_at": ...}, "not what superoffice_hooks writes", id="no moment"),
        pytest.param({"version": ...}, "not what superoffice_hooks writes", id="no version"),
    ],
)
def test_a_whole_file_that_is_none_of_ours_is_refused(folder, change, message):
    content = Spool(folder).keep(arrival_of()).read_bytes()
    head, _, rest = content.partition(b"\n")
    told = json.loads(head) | change
    told = {key: value for key, value in told.items() if value is not ...}
    sealed = json.dumps(told).encode() + b"\n" + rest[:-66]
    with pytest.raises(SpoolFileError, match=message):
        read(sealed + spool_module._seal(sealed))


def test_a_whole_file_without_an_object_is_refused():
    sealed = b"[1]\n{}"
    with pytest.raises(SpoolFileError, match="not what superoffice_hooks writes"):
        read(sealed + spool_module._seal(sealed))
