"""F1: what suimon itself says when a server cannot be had begins with its mark, once, whichever way it goes to the client."""
import socket

import pymysql
import pytest

from conftest import ask, mariadb_only
from relay import Relay
from servers import LOOPBACK

CLIENT_SSL = 0x0800


@pytest.fixture
def cut_off(cluster, suimon):
    """suimon, and the relay between it and its primary."""
    relay = Relay(cluster.primary.port)
    s = suimon({"primary": relay.address, "replicas": [], "backend": {"failover_hold": "500ms"}})
    yield s, relay
    relay.refusing, relay.greeting = False, None
    relay.close()


def error_of(run):
    with pytest.raises(pymysql.MySQLError) as e:
        run()
    return e.value.args


def is_own(error, word=""):
    return error[0] == 1927 and error[1].startswith("suimon: ") and "suimon: " not in error[1][8:] and word in error[1]


def refuse(relay):
    relay.refusing = True
    relay.cut()


def test_a_statement_and_a_login(cut_off, db):
    s, relay = cut_off
    with s.connect(database=db.name) as c:
        refuse(relay)
        errors = [error_of(lambda: ask(c, "SELECT 1 FROM whoami")), error_of(lambda: s.connect("guest", "guest"))]
    for error in errors:
        assert is_own(error), error


def test_a_kill_of_an_idle_session(cut_off):
    s, relay = cut_off
    with s.connect() as killer, s.connect("guest", "guest") as victim:
        refuse(relay)
        error = error_of(lambda: ask(killer, "KILL %d" % victim.thread_id()))
        assert is_own(error), error


@mariadb_only("the greeting's form")
def test_tls_that_is_cut_in_its_handshake(cut_off, cluster, db):
    s, relay = cut_off
    with socket.create_connection((LOOPBACK, cluster.primary.port), 30) as direct:
        greeting = bytearray(direct.recv(4096))
    caps = greeting.index(0, 5) + 1 + 4 + 8 + 1 # behind the version, the thread, the scramble
    greeting[caps + 1] |= CLIENT_SSL >> 8
    with s.connect(database=db.name) as c:
        relay.greeting = bytes(greeting)
        relay.cut()
        errors = [error_of(lambda: ask(c, "SELECT 1 FROM whoami")), error_of(lambda: s.connect("guest", "guest"))]
    for error in errors:
        assert is_own(error, "TLS with"), error
