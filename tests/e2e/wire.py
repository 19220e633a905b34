"""A client that speaks the MySQL protocol packet by packet, so that answers can be compared byte for byte.

The login is PyMySQL's; from there on packets are ours. Without CLIENT_DEPRECATE_EOF and CLIENT_SESSION_TRACK.
"""
import datetime
import struct

import pymysql
from pymysql.constants.CLIENT import MULTI_STATEMENTS  # noqa: F401 (for those who send several)

QUERY, INIT_DB, FIELD_LIST, PING, STATISTICS, CHANGE_USER = 0x03, 0x02, 0x04, 0x0e, 0x09, 0x11
PREPARE, EXECUTE, LONG_DATA, CLOSE, RESET, SET_OPTION, FETCH, RESET_CONNECTION = 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1f
MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 0x0008, 0x0040, 0x0080
MAX_PAYLOAD = 0xffffff
DEPRECATE_EOF = 1 << 24


def read_exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        got = sock.recv(count - len(data))
        if not got:
            raise EOFError("connection closed after %d of %d bytes" % (len(data), count))
        data += got
    return bytes(data)


def lenenc(data, at):
    """(value, position behind it) of a length-encoded integer."""
    first = data[at]
    if first < 0xfb:
        return first, at + 1
    size = {0xfc: 2, 0xfd: 3, 0xfe: 8}[first]
    return int.from_bytes(data[at + 1:at + 1 + size], "little"), at + 1 + size


def lenenc_text(text):
    n = len(text)
    if n < 0xfb:
        return bytes([n]) + text
    if n < 0x10000:
        return b"\xfc" + struct.pack("<H", n) + text
    if n < 0x1000000:
        return b"\xfd" + struct.pack("<I", n)[:3] + text
    return b"\xfe" + struct.pack("<Q", n) + text


def is_eof(p):
    return p[0] == 0xfe and len(p) < 9


def error(p):
    """(code, sqlstate, text) of an ERR packet."""
    assert p[0] == 0xff, p
    return struct.unpack_from("<H", p, 1)[0], p[4:9].decode(), p[9:].decode("utf-8", "replace")


def ok_status(p):
    _, at = lenenc(p, 1)
    _, at = lenenc(p, at)
    return struct.unpack_from("<H", p, at)[0]


def eof_status(p):
    return struct.unpack_from("<H", p, 3)[0]


class Wire:
    def __init__(self, connection):
        """connection: a PyMySQL one, freshly logged in; it is this object's from now on."""
        self.connection = connection
        self.sock = connection._sock
        self.sock.settimeout(60)
        self.seq = 0

    def close(self):
        self.connection._force_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, payload, seq=0):
        """One command; longer ones in packets of 2^24-1 bytes as the protocol has it."""
        out = bytearray()
        while True:
            part, payload = payload[:MAX_PAYLOAD], payload[MAX_PAYLOAD:]
            out += struct.pack("<I", len(part))[:3] + bytes([seq & 0xff]) + part
            seq += 1
            if len(part) < MAX_PAYLOAD:
                break
        self.seq = seq
        self.sock.sendall(out)

    def packet(self):
        """One payload; its sequence number is checked."""
        whole = bytearray()
        while True:
            head = read_exactly(self.sock, 4)
            assert head[3] == self.seq & 0xff, "sequence %d, expected %d" % (head[3], self.seq & 0xff)
            self.seq += 1
            size = int.from_bytes(head[:3], "little")
            whole += read_exactly(self.sock, size)
            if size < MAX_PAYLOAD:
                return bytes(whole)

    def until_eof(self):
        got = []
        while True:
            p = self.packet()
            got.append(p)
            if is_eof(p) or p[0] == 0xff:
                return got

    def answer(self):
        """Every packet of the answer to a query or an execute, of all its results."""
        got = []
        while True:
            p = self.packet()
            got.append(p)
            if p[0] == 0xff:
                return got
            if p[0] == 0x00:
                status = ok_status(p)
            else:
                columns = self.until_eof()
                got += columns
                status = eof_status(columns[-1])
                if not status & CURSOR_EXISTS:
                    result = self.until_eof()
                    got += result
                    if result[-1][0] == 0xff:
                        return got
                    status = eof_status(result[-1])
            if not status & MORE_RESULTS:
                return got

    def query(self, sql):
        self.send(bytes([QUERY]) + (sql if isinstance(sql, bytes) else sql.encode()))
        return self.answer()

    def prepare(self, sql):
        """A Statement, or the ERR packet's (code, sqlstate, text) as an exception."""
        self.send(bytes([PREPARE]) + (sql if isinstance(sql, bytes) else sql.encode()))
        first = self.packet()
        if first[0] == 0xff:
            raise pymysql.MySQLError(*error(first))
        return Statement(self, first)


class NewEof(Wire):
    """A client with CLIENT_DEPRECATE_EOF, to which state is reported at the end of rows, too."""
    FLAG = DEPRECATE_EOF

    def ask(self, sql):
        """The rows' first values, or the error's code."""
        self.send(bytes([QUERY]) + sql.encode())
        first, got = self.packet(), []
        if first[0] in (0x00, 0xff):
            return error(first)[0] if first[0] else None
        for _ in range(first[0]):
            self.packet()
        p = self.packet()
        while p[0] != 0xfe:
            size, at = (0, 1) if p[0] == 0xfb else lenenc(p, 0)
            got.append(p[at:at + size].decode())
            p = self.packet()
        return got


class Statement:
    def __init__(self, wire, first):
        self.wire = wire
        self.id, columns, parameters = struct.unpack_from("<xIHH", first)
        # What is compared: all but the number, which is the server's to choose.
        self.shape = [first[:1] + first[5:]]
        for n in (parameters, columns):
            if n:
                self.shape += wire.until_eof()
        self.parameters = parameters

    def send(self, values, cursor=0, types=True, long_data=()):
        """values: as binary has them; long_data: indexes of those sent by LONG_DATA before."""
        null = bytearray((len(values) + 7) // 8)
        kinds, data = bytearray(), bytearray()
        for i, value in enumerate(values):
            kind, raw = binary(value)
            if value is None:
                null[i // 8] |= 1 << (i % 8)
            kinds += kind
            if i not in long_data:
                data += raw
        payload = bytes([EXECUTE]) + struct.pack("<IBI", self.id, cursor, 1)
        if values:
            payload += bytes(null) + (b"\x01" + bytes(kinds) if types else b"\x00") + bytes(data)
        self.wire.send(payload)

    def execute(self, values=(), **more):
        self.send(values, **more)
        return self.wire.answer()

    def long_data(self, index, data):
        self.wire.send(bytes([LONG_DATA]) + struct.pack("<IH", self.id, index) + data)

    def fetch(self, count):
        self.wire.send(bytes([FETCH]) + struct.pack("<II", self.id, count))
        return self.wire.until_eof()

    def reset(self):
        self.wire.send(bytes([RESET]) + struct.pack("<I", self.id))
        return self.wire.packet()

    def close(self):
        self.wire.send(bytes([CLOSE]) + struct.pack("<I", self.id))


def binary(value):
    """(type as two bytes, value) in the binary protocol, of None, int, float, bytes, str, date, datetime, timedelta; a tuple is both already."""
    if value is None:
        return b"\x06\x00", b""
    if isinstance(value, tuple):
        return value
    if isinstance(value, int):
        return b"\x08\x00", struct.pack("<q", value)
    if isinstance(value, float):
        return b"\x05\x00", struct.pack("<d", value)
    if isinstance(value, datetime.datetime):
        return b"\x0c\x00", struct.pack("<BHBBBBBI", 11, value.year, value.month, value.day, value.hour, value.minute, value.second,
                                        value.microsecond)
    if isinstance(value, datetime.date):
        return b"\x0a\x00", struct.pack("<BHBB", 4, value.year, value.month, value.day)
    if isinstance(value, datetime.timedelta):
        size = abs(value)
        return b"\x0b\x00", struct.pack("<BBIBBBI", 12, size != value, size.days, size.seconds // 3600, size.seconds // 60 % 60,
                                        size.seconds % 60, size.microseconds)
    text = value if isinstance(value, bytes) else value.encode()
    return (b"\xfc" if isinstance(value, bytes) else b"\xfd") + b"\x00", lenenc_text(text)
