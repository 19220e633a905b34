"""`suimon top` in a terminal of its own: it fits, follows a change of size and the keys, and leaves the terminal as it was."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from conftest import ask, settle
from servers import LOOPBACK

PATIENCE = 30
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    def __init__(self, argv, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave
        self.text = ""

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.1):
        if select.select([self.master], [], [], seconds)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")

    def frame(self):
        """The last frame that came whole, as lines."""
        frames = self.text.split("\x1b[H")
        whole = [f for f in frames[1:] if "\x1b[J" in f]
        return [ESCAPES.sub("", line).rstrip("\r") for line in whole[-1].split("\x1b[J")[0].split("\r\n")] if whole else []

    def until(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition(self.frame()):
            assert time.monotonic() < end, "%s: %r" % (what, self.text[-3000:])
            self.read()

    def type(self, keys):
        os.write(self.master, keys)

    def ends(self):
        end = time.monotonic() + PATIENCE
        while self.child.poll() is None and time.monotonic() < end:
            self.read()
        self.read(0)
        return self.child.returncode

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def top(suimon, db):
    s = suimon()
    with s.connect(database=db.name) as c:
        for n in range(20):
            ask(c, "SELECT name, %d FROM whoami" % n)
    settle(s)
    t = Terminal([s.binary, "top", "--http", "%s:%d" % (LOOPBACK, s.http_port), "--interval", "1"])
    yield t
    t.close()


def test_a_frame_fits_the_terminal(top):
    top.until("the statement", lambda f: any("whoami" in line for line in f))
    assert len(top.frame()) <= 24 and max(map(len, top.frame())) <= 80
    top.size(12, 50)
    top.until("the smaller frame", lambda f: f and len(f) <= 12 and max(map(len, f)) <= 50)
    top.size(50, 200)
    top.until("the larger frame", lambda f: f and max(map(len, f)) > 50)


def test_keys_choose_the_order_and_q_leaves_all_as_it_was(top):
    top.until("the statement", lambda f: any("whoami" in line for line in f))
    first = top.frame()
    top.type(b"c")
    top.until("another order", lambda f: f and [li for li in f if "calls" in li] and f != first)
    top.type(b"q")
    assert top.ends() == 0
    assert termios.tcgetattr(top.slave) == top.before
    assert "\x1b[?1049h" in top.text and top.text.rstrip().endswith("\x1b[?1049l"), "the screen from before is back"


def test_interrupted_it_leaves_all_as_it_was(top):
    top.until("the statement", lambda f: any("whoami" in line for line in f))
    top.type(b"\x03")
    assert top.ends() == 0
    assert termios.tcgetattr(top.slave) == top.before
