"""Upgrade, reload, drain, failover and a full disk under oltp_read_write with 64 connections: what fails is counted, by its number."""
import argparse
import os

import pytest

from conftest import _SANITIZER, drained_in
import operations_load
import servers

CONNECTIONS = 64
SESSION_ENDED = {"1053", "2006", "2013"}  # between transactions, by itself or where it is used next
REFUSED = {"2003"}


def options(seconds):
    return argparse.Namespace(seconds=seconds, connections=CONNECTIONS, binary=servers.find_suimon())


def run(event, failures):
    """Longer where the machine is too busy for the event to be over within the load. failures: complains of what failed, of the shorter runs', too."""
    for seconds in (8, 30, 90):
        got = operations_load.round_of(event, options(seconds))
        note = got.get("note", "")
        assert not _SANITIZER.search(got["log"]), got["log"][-6000:]
        assert "gave up" not in note, got
        failures(got)
        if "the load ended" not in note:
            assert got["statements"] >= 20 * CONNECTIONS
            return got
    raise servers.TooLate(note)


def no_failures(got):
    assert (got["failed"], dict(got["numbers"]), got["lost"]) == (0, {}, 0)


def only_what_was_open(got):
    """The write a connection was at, and the BEGIN that sysbench sends instead of ROLLBACK."""
    assert set(got["numbers"]) <= {"1290"} and got["lost"] == 0
    assert got["failed"] <= 2 * CONNECTIONS


@pytest.mark.parametrize("event, said, least", [("upgrade", "upgrade: the new process serves", 2), ("reload", "config: reloaded", 2)],
                         ids=["upgrade", "reload"])
def test_nothing_fails(event, said, least):
    got = run(event, no_failures)
    assert got["log"].count(said) >= least


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_nothing_fails_while_the_queues_disk_is_full():
    got = run("full disk", no_failures)
    assert got["queued"] > 0 and got["written_through"] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_transactions_do_not_feel_a_full_disk_of_the_queue():
    """And what one more client queues meanwhile, or writes through, is there once."""
    got = run("transactions beside a full disk", no_failures)
    assert got["queued"] > 0 and got["written_through"] > 0 and got["unkept"] == 0


def test_a_failover_ends_what_was_open_on_the_old_primary_and_nothing_else():
    run("failover", only_what_was_open)


def test_a_drain_behind_a_socket_that_is_held_ends_each_session_once_between_transactions():
    got = operations_load.round_of("drain", options(4))
    assert not _SANITIZER.search(got["log"]), got["log"][-6000:]
    assert (got["failed"], dict(got["numbers"]), got["unkept"], dict(got["refused"])) == (0, {}, 0, {})
    assert got["lost"] == CONNECTIONS and set(got["lost_by"]) <= SESSION_ENDED, got["lost_by"]


def test_a_drain_with_a_transaction_that_never_ends(tmp_path):
    """All others finish theirs, and then are refused. The one has drain_timeout, and not more."""
    limit = 20
    w = operations_load.World(str(tmp_path), options(0), drain_timeout="%ds" % limit)
    try:
        holder = w.suimon.connect(database=operations_load.SCHEMA)
        holder.begin()
        with holder.cursor() as c:
            c.execute("INSERT INTO ledger VALUES (-1, 0)")
        clients = operations_load.pooled(w)
        assert w.suimon.process.stop(limit + 40) == 0
        for c in clients:
            c.end = 0
        got = operations_load.result_of(w, clients)
        holder._force_close()
    finally:
        w.end()
    assert not _SANITIZER.search(w.suimon.log_text()), w.suimon.log_text()[-6000:]
    assert (got["failed"], dict(got["numbers"]), got["unkept"]) == (0, {}, 0)
    assert got["lost"] == CONNECTIONS and set(got["lost_by"]) <= SESSION_ENDED, got["lost_by"]
    assert sum(got["refused"].values()) >= CONNECTIONS and set(got["refused"]) <= REFUSED, got["refused"]
    drained_in(w.suimon, limit - 0.01, limit)  # by itself it would never have ended
