"""A TCP relay to put between suimon and a server: it can add latency, hold bytes back, alter them, and cut links at a chosen byte."""
import ctypes
import socket
import struct
import threading
import time

from servers import LOOPBACK

SO_ATTACH_FILTER = 26


class Relay:
    def __init__(self, port):
        """port: where the bytes go."""
        self.target = port
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.delay = 0.0        # seconds, each way
        self.held = threading.Event()
        self.refusing = False   # new links are closed at once
        self.greeting = None    # bytes that new links are greeted with instead of the server's, and closed
        self.cut_when = None    # function(direction "up"/"down", bytes): True cuts the link before they pass
        self.cut_at = None      # function(link, direction, bytes): the bytes that pass before the link is cut, or None
        self.alter = None       # function(link, direction, bytes): what passes instead of them
        self.links = []
        self.lock = threading.Lock()
        self.open = True
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return "%s:%d" % (LOOPBACK, self.port)

    def accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.greeting:
                    client.sendall(self.greeting)
                if self.refusing or self.greeting:
                    raise OSError()
                server = socket.create_connection((LOOPBACK, self.target), 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.links.append((client, server))
            threading.Thread(target=self.pump, args=(client, server, "up"), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, "down"), daemon=True).start()

    def pump(self, source, sink, direction):
        link = source.fileno() if direction == "up" else sink.fileno()
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                while self.held.is_set():
                    time.sleep(0.005)
                if self.delay:
                    time.sleep(self.delay)
                if self.cut_when and self.cut_when(direction, data):
                    break
                passing = self.cut_at(link, direction, data) if self.cut_at else None
                if self.alter:
                    data = self.alter(link, direction, data)
                if passing is not None:
                    sink.sendall(data[:passing])
                    break
                sink.sendall(data)
        except OSError:
            pass
        shut(source)
        shut(sink)

    def swallow(self):
        """From now on nothing that comes over the links there are is as much as acknowledged, as if this host had lost power."""
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0)) # a filter: return 0 bytes
        program = struct.pack("HL", 1, ctypes.addressof(nothing))
        with self.lock:
            for client, _ in self.links:
                if client.fileno() >= 0: # not closed meanwhile
                    client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def cut(self):
        """Cuts every link there is."""
        with self.lock:
            links, self.links = self.links, []
        for pair in links:
            for s in pair:
                shut(s)

    def close(self):
        self.open = False
        self.listener.close()
        self.cut()


def shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    s.close()
