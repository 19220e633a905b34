"""A server that lies: a relay to a real one, which answers some statements itself, against the protocol.

Whatever holds `lie NAME` is not passed on, but answered with the packets that were set for NAME. Greetings and logins
can be replaced, too. Everything else is the real server's.
"""
import re
import socket
import threading
import time

from servers import LOOPBACK

LIE = re.compile(rb"lie (\w+)")


def packet(payload, seq=1, claimed=None):
    return (len(payload) if claimed is None else claimed).to_bytes(3, "little") + bytes([seq & 0xff]) + payload


def pump(source, sink, hear=None):
    """Passes on what comes until one of the two ends, and ends the other. hear: is told of each part before it passes."""
    try:
        while data := source.recv(65536):
            if hear:
                hear(data)
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        shut(each)


class Listener:
    """Serves each of its clients in a thread: a subclass's serve(client)."""

    def __init__(self):
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()


class Liar(Listener):
    def __init__(self, port):
        """port: the real server's."""
        self.target = port
        self.lies = {}        # NAME: bytes, or a function(socket) that sends them
        self.greeting = None  # bytes instead of the real server's, after which the link is closed
        self.silent = False   # no greeting, and the link stays
        self.after_login = None  # bytes instead of the real server's answer to the login
        self.links = []
        self.lock = threading.Lock()
        super().__init__()

    def serve(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.silent:
                with self.lock:
                    self.links.append(client)
                while client.recv(65536):
                    pass
                return
            if self.greeting is not None:
                client.sendall(self.greeting)
                time.sleep(0.2)
                return
            with socket.create_connection((LOOPBACK, self.target), 5) as server:
                server.settimeout(None)
                with self.lock:
                    self.links.append(client)
                threading.Thread(target=pump, args=(server, client), daemon=True).start()
                self.up(client, server)
        except OSError:
            pass
        finally:
            shut(client)

    def up(self, client, server):
        """From the client: what holds a lie is answered here."""
        first = True
        while True:
            data = client.recv(65536)
            if not data:
                return
            found = LIE.search(data)
            if first and self.after_login is not None:
                client.sendall(self.after_login)
                while client.recv(65536):
                    pass
                return
            first = False
            if not found:
                server.sendall(data)
                continue
            lie = self.lies[found.group(1).decode()]
            if callable(lie):
                lie(client)
            else:
                client.sendall(lie)

    def cut(self):
        """Cuts every link there is."""
        with self.lock:
            links, self.links = self.links, []
        for s in links:
            shut(s)

    def close(self):
        self.listener.close()
        self.cut()


def shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    s.close()
