"""The bad line does what its faults say."""

import socket
from contextlib import suppress

import pytest

from tests.reliability.link import Link

pytestmark = pytest.mark.reliability


@pytest.fixture
def far_end():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        yield listening


def connect(line, far_end):
    near = socket.create_connection(("127.0.0.1", line.port), 5)
    far, _ = far_end.accept()
    far.settimeout(5)
    return near, far


def test_a_good_line_passes_both_ways(far_end):
    with Link(far_end.getsockname()[1]) as line:
        near, far = connect(line, far_end)
        with near, far:
            near.sendall(b"question")
            assert far.recv(100) == b"question"
            far.sendall(b"answer")
            assert near.recv(100) == b"answer"


def test_a_lossy_line_is_cut(far_end):
    with Link(far_end.getsockname()[1]) as line:
        near, far = connect(line, far_end)
        with near, far:
            line.loss = 1.0
            near.sendall(b"question")
            with suppress(ConnectionResetError):
                assert far.recv(100) == b""
        assert line.cuts == 1


def test_a_silent_line_swallows_and_stays_open(far_end):
    with Link(far_end.getsockname()[1]) as line:
        near, far = connect(line, far_end)
        with near, far:
            line.is_silent = True
            near.sendall(b"question")
            far.settimeout(0.2)
            with pytest.raises(TimeoutError):
                far.recv(100)
            near.settimeout(0.1)
            with pytest.raises(TimeoutError):
                near.recv(100)
