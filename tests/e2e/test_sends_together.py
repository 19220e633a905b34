"""P1, F1: what many sessions are sent at once arrives as it would one by one, by io_uring, by io_submit and in one call each."""
import ctypes.util
import hashlib
import random
import re
import sys
import threading

import pytest

import servers
from conftest import ask

SESSIONS, STATEMENTS = 24, 120
SIZES = [1, 60, 4000, 8192, 16000, 16340, 16380, 16384, 16390, 65500, 300000]  # about where sends are large enough to go by themselves

# A filter: whoever asks for one of these calls is refused. What it is started with stays in force behind exec.
WITHOUT = """import ctypes, os, sys
lib = ctypes.CDLL("libseccomp.so.2")
lib.seccomp_init.restype = ctypes.c_void_p
ctx = ctypes.c_void_p(lib.seccomp_init(0x7fff0000))
for call in sys.argv.pop(1).encode().split():
    assert lib.seccomp_rule_add_array(ctx, 0x50001, lib.seccomp_syscall_resolve_name(call), 0, None) == 0
assert lib.seccomp_load(ctx) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def in_use(s):
    """What the start says of it."""
    return re.search(r"main: ready workers=\d+ sends=(\w+)", s.log_text()).group(1)


def talk(s, db, seed, failed):
    """One session's statements of all sizes both ways, each with an answer that only it can have."""
    r = random.Random(seed)
    try:
        with s.connect(database=db.name) as c:
            for n in range(STATEMENTS):
                size = r.choice(SIZES if n % 10 == 0 else SIZES[:8])
                if r.random() < 0.5:
                    got = ask(c, "SELECT REPEAT('%s', %d), %d" % (chr(97 + seed % 26), size, n))
                    assert got == ((chr(97 + seed % 26) * size, n),)
                else:
                    text = "".join(r.choices("abcdefgh", k=min(size, 20000)))
                    got = ask(c, "SELECT SHA2('%s', 256), %d, %d" % (text, seed, n))
                    assert got == ((hashlib.sha256(text.encode()).hexdigest(), seed, n),)
    except Exception as e:
        failed.append(e)


def all_talk(s, db):
    failed = []
    threads = [threading.Thread(target=talk, args=(s, db, seed, failed)) for seed in range(SESSIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed


@pytest.mark.parametrize("way, by", [("auto", {"io_uring", "io_submit"}), ("io_submit", {"io_submit"}), ("off", {"alone"})])
def test_every_session_has_its_own_answers(suimon, db, way, by):
    s = suimon({"send_together": way, "threads": 2})
    assert in_use(s) in by
    all_talk(s, db)


URING = "io_uring_setup io_uring_enter io_uring_register"  # what containers forbid by default


@pytest.mark.skipif(not ctypes.util.find_library("seccomp"), reason="libseccomp is not installed: deploy/deps --test")
@pytest.mark.parametrize("forbidden, by", [(URING, "io_submit"), (URING + " io_setup", "alone")])
def test_what_is_forbidden_is_done_in_another_way(suimon, db, forbidden, by):
    s = suimon({"threads": 2}, run=False)
    s.process = servers.Process("suimon", [sys.executable, "-c", WITHOUT, forbidden, s.binary, "-c", s.file], s.log, s._env())
    s.start()
    assert in_use(s) == by
    all_talk(s, db)
