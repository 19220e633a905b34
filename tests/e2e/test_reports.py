"""P1: what a server reports of session state reaches the client as it would without suimon, which has it report more."""
import struct

import pytest

from wire import QUERY, Wire, lenenc

SESSION_TRACK, STATE_CHANGED = 1 << 23, 0x4000


def items(block):
    """The reported items, sorted: the server keeps them in a hash."""
    got, at = [], 0
    while at < len(block):
        size, start = lenenc(block, at + 1)
        got.append(block[at:start + size])
        at = start + size
    return sorted(got)


def ok(packet):
    """(status, reported items) of an OK packet to a client with CLIENT_SESSION_TRACK."""
    assert packet[0] == 0, packet
    _, at = lenenc(packet, 1)
    _, at = lenenc(packet, at)
    status, _ = struct.unpack_from("<HH", packet, at)
    at += 4
    if at == len(packet):
        return status, []
    size, at = lenenc(packet, at)
    at += size
    if not status & STATE_CHANGED:
        return status, []
    size, at = lenenc(packet, at)
    return status, items(packet[at:at + size])


def answers(connection, statements):
    with Wire(connection) as w:
        got = []
        for s in statements:
            w.send(bytes([QUERY]) + s.encode())
            got.append(ok(w.packet()))
        return got


# What is reported by default, what only suimon asks for, both at once, and what a client asks for itself.
STATEMENTS = {
    "default": ["SET autocommit = 0", "SET autocommit = 1", "SET time_zone = '+01:00'", "SET NAMES latin1", "USE %s"],
    "suimon's interest": ["SET sql_mode = 'ANSI_QUOTES'", "SET group_concat_max_len = 99", "SET @x = 1", "DO 1",
                          "CREATE TABLE made (id INT PRIMARY KEY AUTO_INCREMENT)", "INSERT INTO made VALUES (NULL)", "DROP TABLE made"],
    "both at once": ["SET time_zone = '+02:00', sql_mode = '', autocommit = 1"],
    "the client's own interest": ["SET session_track_system_variables = 'sql_mode,time_zone'", "SET sql_mode = 'ANSI_QUOTES'",
                                  "SET time_zone = '+03:00', sql_mode = ''"],
    "that anything changed": ["SET session_track_state_change = 1", "SET @x = 1", "SET time_zone = '+04:00'", "DO 1"],
}


@pytest.mark.parametrize("which", STATEMENTS)
@pytest.mark.parametrize("flag", [0, SESSION_TRACK], ids=["untracked", "tracked"])
def test_reports_are_cut_back_to_what_the_clients_session_would_get(db, proxy, which, flag):
    statements = [s % db.name if "%s" in s else s for s in STATEMENTS[which]]
    want = answers(db.direct(client_flag=flag), statements)
    assert answers(proxy.connect(database=db.name, client_flag=flag), statements) == want
