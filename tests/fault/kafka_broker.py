"""A Kafka broker for tests, of one node and in memory, for what librdkafka's mock does not do.

It drops what an idempotent producer sends twice, makes topics, deletes records, shows settings, and speaks TLS and SASL PLAIN. It can lose its
answers after it has stored. Only the oldest versions of the protocol's messages that librdkafka still speaks to an idempotent producer's broker.
"""
import io
import socket
import struct
import threading
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA, SASL_HANDSHAKE, API_VERSIONS = 0, 1, 2, 3, 17, 18
CREATE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID, DESCRIBE_CONFIGS, SASL_AUTHENTICATE = 19, 21, 22, 32, 36
VERSIONS = {PRODUCE: (0, 3), FETCH: (0, 4), LIST_OFFSETS: (0, 1), METADATA: (0, 2), SASL_HANDSHAKE: (0, 1), API_VERSIONS: (0, 0),
            CREATE_TOPICS: (0, 1), DELETE_RECORDS: (0, 0), INIT_PRODUCER_ID: (0, 0), DESCRIBE_CONFIGS: (0, 0), SASL_AUTHENTICATE: (0, 0)}
OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC, TOPIC_REFUSED, UNSUPPORTED_VERSION, TOPIC_EXISTS, OUT_OF_ORDER, SASL_FAILED = 1, 3, 29, 35, 36, 45, 58


class Reader:
    def __init__(self, data):
        self.data = io.BytesIO(data)

    def take(self, form):
        size = struct.calcsize(">" + form)
        return struct.unpack(">" + form, self.data.read(size))[0]

    def text(self):
        n = self.take("h")
        return None if n < 0 else self.data.read(n).decode()

    def blob(self):
        n = self.take("i")
        return None if n < 0 else self.data.read(n)

    def list(self, one):
        return [one() for _ in range(max(self.take("i"), 0))]


def text(s):
    return struct.pack(">h", -1) if s is None else struct.pack(">h", len(s.encode())) + s.encode()


def blob(b):
    return struct.pack(">i", len(b)) + b


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Partition:
    def __init__(self):
        self.batches, self.low, self.end = [], 0, 0  # (first, behind the last, bytes)
        self.seen = {}  # (producer, epoch, first number): its offset; (producer, epoch): the number due

    def append(self, batch):
        """The offset, or an error below 0."""
        last, = struct.unpack(">i", batch[23:27])
        producer, epoch, number = struct.unpack(">qhi", batch[43:57])
        key = (producer, epoch)
        if producer >= 0:
            if key + (number,) in self.seen:
                return self.seen[key + (number,)]
            if number != self.seen.get(key, 0):
                return -OUT_OF_ORDER
            self.seen[key] = number + last + 1
            self.seen[key + (number,)] = self.end
        first = self.end
        self.end += last + 1
        self.batches.append((first, self.end, struct.pack(">q", first) + batch[8:]))
        return first


class Broker:
    def __init__(self, context=None, login=None, cluster="test"):
        """context: of TLS, a server's; login: "user\\0password" that PLAIN must bring; cluster: the cluster's id."""
        self.cluster = cluster
        self.context, self.login = context, login
        self.topics, self.configs, self.deleted = {}, {}, 0
        self.may_create = self.may_delete = True
        self.lose_answers = 0  # to so many requests to store, after they are stored
        self.late = 0  # seconds that the answer to such a request takes
        self.news = threading.Condition()
        self.producers = 1000
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            if self.context:
                conn = self.context.wrap_socket(conn, server_side=True)
            self.talk(conn)
        except (OSError, struct.error, EOFError):
            pass
        finally:
            conn.close()

    @staticmethod
    def read(conn, n):
        data = b""
        while len(data) < n:
            more = conn.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def talk(self, conn):
        known = self.login is None
        while True:
            r = Reader(self.read(conn, struct.unpack(">i", self.read(conn, 4))[0]))
            api, version, number = r.take("h"), r.take("h"), r.take("i")
            r.text()
            if api == SASL_AUTHENTICATE:
                known = r.blob() == b"\0" + self.login.encode()
                answer = struct.pack(">h", 0 if known else SASL_FAILED) + text(None) + blob(b"")
            elif not known and api not in (API_VERSIONS, SASL_HANDSHAKE):
                return
            else:
                answer = self.answer(api, version, r)
            if answer is None:
                return
            if api == PRODUCE:
                time.sleep(self.late)
            conn.sendall(blob(struct.pack(">i", number) + answer))

    def answer(self, api, version, r):
        if api == API_VERSIONS:
            rows = [struct.pack(">hhh", k, low, high) for k, (low, high) in VERSIONS.items()]
            return struct.pack(">h", UNSUPPORTED_VERSION if version else 0) + array(rows)
        if api == SASL_HANDSHAKE:
            r.text()
            return struct.pack(">h", 0) + array([text("PLAIN")])
        if api == FETCH:
            return self.fetch(r)
        with self.news:
            handler = {PRODUCE: self.produce, LIST_OFFSETS: self.list_offsets, METADATA: self.metadata, CREATE_TOPICS: self.create,
                       DELETE_RECORDS: self.delete, INIT_PRODUCER_ID: self.init_producer, DESCRIBE_CONFIGS: self.describe}[api]
            return handler(r)

    def metadata(self, r):
        n = r.take("i")
        names = list(self.topics) if n < 0 else [r.text() for _ in range(n)]
        shown = []
        for name in names:
            parts = [struct.pack(">hii", 0, i, 1) + array([struct.pack(">i", 1)]) * 2 for i in range(len(self.topics.get(name, [])))]
            shown.append(struct.pack(">h", 0 if name in self.topics else UNKNOWN_TOPIC) + text(name) + b"\0" + array(parts))
        broker = struct.pack(">i", 1) + text("127.0.0.1") + struct.pack(">i", self.port) + text(None)
        return array([broker]) + text(self.cluster) + struct.pack(">i", 1) + array(shown)

    def each(self, r, form, one):
        """Of requests by topic and partition: one(partition or None, *fields) gives the answer behind the partition's number."""
        def partition(name):
            i = r.take("i")
            fields = [r.blob() if f == "b" else r.take(f) for f in form]
            found = self.topics.get(name, [])
            return struct.pack(">i", i) + one(found[i] if 0 <= i < len(found) else None, *fields)

        def topic():
            name = r.text()
            return text(name) + array(r.list(lambda: partition(name)))
        return array(r.list(topic))

    def produce(self, r):
        r.text()
        r.take("h")
        r.take("i")

        def store(p, batch):
            offset = p.append(batch) if p else -UNKNOWN_TOPIC
            return struct.pack(">hqq", max(-offset, 0), max(offset, -1), -1)
        answer = self.each(r, "b", store)
        self.news.notify_all()
        if self.lose_answers:
            self.lose_answers -= 1
            return None
        return answer + struct.pack(">i", 0)

    def fetch(self, r):
        r.take("i")
        wait = r.take("i")
        r.take("q")
        r.take("b")
        at = r.data.tell()
        until = time.monotonic() + wait / 1000
        found = 0

        def look(p, offset, size):
            nonlocal found
            if not p or not p.low <= offset <= p.end:
                found += 1
                return struct.pack(">hqqii", OFFSET_OUT_OF_RANGE if p else UNKNOWN_TOPIC, -1, -1, 0, 0)
            chosen = b""
            for _, behind, data in p.batches:
                if behind > offset and len(chosen) < size:
                    chosen += data
            found += len(chosen)
            return struct.pack(">hqqi", 0, p.end, p.end, 0) + blob(chosen)
        with self.news:
            while True:
                r.data.seek(at)
                answer = self.each(r, "qi", look)
                left = until - time.monotonic()
                if found or left <= 0:
                    return struct.pack(">i", 0) + answer
                self.news.wait(left)

    def list_offsets(self, r):
        r.take("i")
        return self.each(r, "q", lambda p, when: struct.pack(">hqq", 0 if p else UNKNOWN_TOPIC, -1,
                                                             -1 if not p else p.low if when == -2 else p.end))

    def init_producer(self, r):
        self.producers += 1
        return struct.pack(">ihqh", 0, 0, self.producers, 0)

    def create(self, r):
        def one():
            name, partitions, _ = r.text(), r.take("i"), r.take("h")
            r.list(lambda: None)
            configs = dict(r.list(lambda: (r.text(), r.text())))
            if not self.may_create or name in self.topics:
                return text(name) + struct.pack(">h", TOPIC_EXISTS if self.may_create else TOPIC_REFUSED) + text(None)
            self.topics[name], self.configs[name] = [Partition() for _ in range(partitions)], configs
            return text(name) + struct.pack(">h", 0) + text(None)
        return array(r.list(one))

    def delete(self, r):
        def one(p, offset):
            if not p or not self.may_delete:
                return struct.pack(">qh", -1, TOPIC_REFUSED)
            p.low = max(p.low, offset)
            p.batches = [b for b in p.batches if b[1] > p.low]
            self.deleted += 1
            return struct.pack(">qh", p.low, 0)
        return struct.pack(">i", 0) + self.each(r, "q", one)

    def describe(self, r):
        def one():
            kind, name = r.take("b"), r.text()
            entries = [text(k) + text(v) + b"\0\0\0" for k, v in self.configs.get(name, {}).items()]
            return struct.pack(">h", 0) + text(None) + struct.pack(">b", kind) + text(name) + array(entries)
        return struct.pack(">i", 0) + array(r.list(one))
