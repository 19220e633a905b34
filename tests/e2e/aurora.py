"""Servers that answer as an Aurora MySQL cluster's do, as far as a proxy looks: one writer, readers without replication
threads, information_schema.replica_host_status, innodb_read_only. They hold one number and know who they are.

A server's identifier is the last byte of its loopback address: "11" is 127.0.0.11. The cluster's endpoint is 127.0.0.1.
"""
import re
import socket
import struct
import threading

import servers

PROTOCOL_41, WITH_DB, TRANSACTIONS, SECURE, PLUGIN_AUTH, SESSION_TRACK = 0x200, 8, 0x2000, 0x8000, 0x80000, 0x800000
CAPS = 1 | 2 | 4 | WITH_DB | PROTOCOL_41 | TRANSACTIONS | SECURE | 0x10000 | 0x20000 | PLUGIN_AUTH | SESSION_TRACK
AUTOCOMMIT = 2
READ_ONLY = {1290: b"The MySQL server is running with the --read-only option so it cannot execute this statement",
             1836: b"Running in read-only mode"}


def lenenc(b):
    return bytes([len(b)]) + b if len(b) < 251 else b"\xfc" + struct.pack("<H", len(b)) + b


class Cluster:
    def __init__(self, ids=("11", "12", "13")):
        self.port = servers.free_port()
        self.writer = ids[0]
        self.n = 0
        self.refuses_by = 1290  # a write, by whoever does not write
        self.lag = {}        # milliseconds, by identifier
        self.listed = set()
        self.instances = {}
        self.endpoint_at = ids[0] # what the name resolves to; it lags behind a failover
        self.executed = []   # (identifier, statement) of every write
        self.heard = []      # (identifier, statement) of everything
        for i in ids:
            self.add(i)
        self.endpoint = Instance(self, None, "127.0.0.1")

    def add(self, ident):
        self.instances[ident] = Instance(self, ident, "127.0.0." + ident)
        self.listed.add(ident)

    def remove(self, ident):
        self.listed.discard(ident)
        self.instances.pop(ident).stop()

    def rows(self, me):
        for ident in sorted(self.listed):
            writer = ident == self.writer
            yield {"id": ident, "session": "MASTER_SESSION_ID" if writer else "a-session-of-%s" % ident,
                   "lag": "0" if writer else "%.1f" % self.lag.get(ident, 15.5), "age": "100000",
                   "mine": "1" if ident == me else "0"}

    def stop(self):
        for i in list(self.instances.values()) + [self.endpoint]:
            i.stop()


class Instance:
    def __init__(self, cluster, ident, host):
        self.cluster, self.ident, self.host = cluster, ident, host
        self.links = []
        self.start()

    def start(self):
        self.open = True
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.cluster.port))
        self.listener.listen(50)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        self.open = False
        for s in [self.listener] + self.links:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        self.links = []

    @property
    def me(self):
        return self.ident or self.cluster.endpoint_at

    def accept(self, listener):
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            self.links.append(link)
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        me = self.me # a link stays with the server that the name stood for
        if me not in self.cluster.instances or not self.cluster.instances[me].open:
            link.close()
            return
        try:
            Link(self.cluster, me, link).run()
        except (OSError, EOFError):
            pass
        link.close()


class Link:
    """One client's connection."""

    def __init__(self, cluster, me, sock):
        self.cluster, self.me, self.sock = cluster, me, sock
        self.seq = 0
        self.out = b""

    def put(self, payload):
        self.out += struct.pack("<I", len(payload))[:3] + bytes([self.seq & 255]) + payload
        self.seq += 1

    def take(self):
        self.sock.sendall(self.out) # an answer leaves whole, or not at all
        self.out = b""
        head = self.exactly(4)
        self.seq = head[3] + 1
        return self.exactly(head[0] | head[1] << 8 | head[2] << 16)

    def exactly(self, n):
        got = b""
        while len(got) < n:
            more = self.sock.recv(n - len(got))
            if not more:
                raise EOFError()
            got += more
        return got

    def ok(self, affected=0):
        self.put(b"\x00" + bytes([affected, 0]) + struct.pack("<HH", AUTOCOMMIT, 0))

    def error(self, code, text):
        self.put(b"\xff" + struct.pack("<H", code) + b"#HY000" + text)

    def eof(self):
        self.put(b"\xfe" + struct.pack("<HH", 0, AUTOCOMMIT))

    def result(self, columns, rows):
        self.put(bytes([len(columns)]))
        for c in columns:
            c = c.encode()
            self.put(lenenc(b"def") + lenenc(b"") * 3 + lenenc(c) * 2 + b"\x0c" +
                     struct.pack("<HIBHB", 45, 255, 253, 0, 0) + b"\0\0")
        self.eof()
        for r in rows:
            self.put(b"".join(b"\xfb" if v is None else lenenc(str(v).encode()) for v in r))
        self.eof()

    def run(self):
        self.put(b"\x0a8.0.39\0" + struct.pack("<I", threading.get_ident() & 0xffffff) + b"abcdefgh\0" +
                 struct.pack("<HBHH", CAPS & 0xffff, 255, AUTOCOMMIT, CAPS >> 16) + bytes([21]) + b"\0" * 10 +
                 b"ijklmnopqrst\0mysql_native_password\0")
        self.take()
        self.ok()
        while True:
            p = self.take()
            if p[0] == 0x01:
                return
            if p[0] == 0x03:
                self.query(p[1:].decode(errors="replace"))
            elif p[0] in (0x02, 0x0e, 0x1f): # a schema, a ping, a reset
                self.ok()
            else:
                self.error(1047, b"not scripted")

    def query(self, sql):
        c = self.cluster
        plain = re.sub(r"/\*.*?\*/", "", sql).strip()
        c.heard.append((self.me, plain))
        aliases = re.findall(r"\S+ ([a-z]+)(?:,| FROM|$)", plain)
        reader = self.me != c.writer
        if "replica_host_status" in plain:
            self.result(aliases, [[r[a] for a in aliases] for r in c.rows(self.me)])
        elif "innodb_read_only" in plain:
            known = {"ro": "0", "iro": "1" if reader else "0"}
            self.result(aliases, [[known.get(a, "") for a in aliases]])
        elif "STATUS" in plain.upper():
            self.result(["Replica_IO_Running"], [])
        elif plain.startswith("SELECT") and "whoami" in plain:
            self.result(["name"], [[self.me]])
        elif plain.startswith("SELECT n"):
            self.result(["n"], [[c.n]])
        elif plain.startswith("UPDATE") or plain.startswith("INSERT"):
            if reader:
                self.error(self.cluster.refuses_by, READ_ONLY[self.cluster.refuses_by])
                return
            c.executed.append((self.me, plain))
            c.n += 1
            self.ok(1)
        elif plain.upper().startswith(("SET", "BEGIN", "START", "COMMIT", "ROLLBACK", "USE")):
            self.ok()
        else:
            self.error(1146, b"Table doesn't exist: not scripted")
