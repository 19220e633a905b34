"""A private MariaDB or MySQL, a Redis, what speaks as SQS does and the queue's driver, for the queue's engine and crash tests."""
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import pymysql
import pytest


HERE = os.path.dirname(os.path.abspath(__file__))
LSAN_OPTIONS = "print_suppressions=0:suppressions=" + os.path.join(HERE, "lsan.supp")  # for those who use Kafka's mock
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "deploy"))
from mysql_server import KIND, base_options, program  # noqa: E402
from servers import TooLate  # noqa: E402


def driver_binary():
    """SUIMON_QUEUE_DRIVER, or the first that is built; failpoints need a build with assertions."""
    given = os.environ.get("SUIMON_QUEUE_DRIVER")
    places = [given] if given else [os.path.join(TOP, "build", d, "queue_driver") for d in ("asan", "debug", "")]
    for p in places:
        if os.path.exists(p):
            return p
    raise FileNotFoundError("no queue_driver in %s: build it, or name one in SUIMON_QUEUE_DRIVER" % ", ".join(places))


class Server:
    """A server of our own on a unix socket, in a temporary directory: MariaDB, or what SUIMON_SERVER says."""

    def __init__(self, durable=False):
        self.dir = tempfile.mkdtemp(prefix="suimon-queue-db-")
        # Each server cleans its folder for temporary tables when it starts, and with it that of another one under way.
        self.env = {**os.environ, "TMPDIR": self.dir}
        self.socket = os.path.join(self.dir, "s")
        self.process = None
        self.durable = durable
        install = ["mariadb-install-db", "--no-defaults", "--force", "--auth-root-authentication-method=normal", "--skip-test-db"]
        if KIND == "mysql":
            install = program("usr/sbin/mysqld") + base_options() + ["--initialize-insecure"]
        subprocess.run(install + self._where(), check=True, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.start()

    def _where(self):
        return ["--datadir=" + self.dir + "/data"] + (["--user=root"] if os.getuid() == 0 else [])

    @staticmethod
    def _program():
        if KIND == "mysql":
            return program("usr/sbin/mysqld") + base_options() + ["--mysqlx=OFF", "--gtid-mode=ON", "--enforce-gtid-consistency=ON"]
        return ["mariadbd", "--no-defaults"]

    def start(self, *more):
        flush = 1 if self.durable else 2
        self.process = subprocess.Popen(
            self._program() + self._where() + ["--socket=" + self.socket, "--skip-networking",
             "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=%d" % flush, "--log-bin=bin", "--server-id=1",
             "--pid-file=" + self.dir + "/pid", "--innodb-lock-wait-timeout=5"] + list(more),
            env=self.env, stdout=subprocess.DEVNULL, stderr=open(self.dir + "/log", "a"))
        for _ in range(600):
            try:
                self.connect().close()
                return
            except pymysql.err.Error:
                if self.process.poll() is not None:
                    raise RuntimeError(open(self.dir + "/log").read()[-2000:])
                time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def connect(self, user="root", **options):
        return pymysql.connect(unix_socket=self.socket, user=user, autocommit=True, charset="utf8mb4", **options)

    def run(self, *statements):
        """Runs statements; returns the rows of the last."""
        with self.connect() as c, c.cursor() as cur:
            for s in statements:
                cur.execute(s)
            return list(cur.fetchall())

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Redis:
    """A redis-server of our own, which syncs its file before it answers."""

    def __init__(self, *options, port=None, program="redis-server"):
        self.dir = tempfile.mkdtemp(prefix="suimon-queue-redis-")
        self.program = program
        with socket.socket() as s:
            s.bind(("127.0.0.1", port or 0))
            self.port = s.getsockname()[1]
        self.options = options
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir, "--save", "", "--appendonly", "yes",
             "--appendfsync", "always", *self.options], stdout=open(self.dir + "/log", "a"), stderr=subprocess.STDOUT)
        for _ in range(600):
            if self.cli("PING", check=False).strip() == "PONG":
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("redis-server does not answer: " + open(self.dir + "/log").read()[-2000:])

    def cli(self, *words, check=True):
        return subprocess.run(["redis-cli", "-p", str(self.port), *words], check=check, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout

    def url(self, name, lanes=8, **more):
        return "redis://127.0.0.1:%d?name=%s&lanes=%d%s" % (self.port, name, lanes, "".join("&%s=%s" % o for o in more.items()))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def let_go(self):
        """Whatever it keeps for those that have died. Nothing: who applies is the database's business."""

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def valkey_server():
    """Valkey's program, of the folder that tests/valkey_root makes, or of $SUIMON_VALKEY_ROOT; None: it is not there."""
    path = os.path.join(os.environ.get("SUIMON_VALKEY_ROOT") or os.path.join(TOP, "build", "valkey", "root"), "usr/bin/valkey-server")
    return path if os.path.exists(path) else None


class AnswersWaitaof:
    """Before a Redis 7.0, which has no WAITAOF: it is answered here, in its turn, by what `answer` says. Redis is sent an ECHO instead."""

    TOKEN = b"$7\r\nwaitaof\r\n"

    def __init__(self, redis):
        self.redis, self.answer, self.asked = redis, b"*2\r\n:1\r\n:0\r\n", []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, name, **more):
        return self.redis.url(name, **more).replace(":%d?" % self.redis.port, ":%d?" % self.port)

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.redis.port))
            threading.Thread(target=self._pump, args=(client, server, self._asked), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, self._answered), daemon=True).start()

    def _asked(self, data):
        """What may go on, and what waits for its rest."""
        at = data.find(b"*4\r\n$7\r\nWAITAOF\r\n")
        if at < 0:
            return self._whole(data, b"*4\r\n$7\r\nWAITAOF\r\n")
        words = data[at:].split(b"\r\n", 9)
        if len(words) < 10:
            return data[:at], data[at:]
        self.asked.append(tuple(int(w) for w in (words[4], words[6], words[8])))
        return data[:at] + b"*2\r\n$4\r\nECHO\r\n" + self.TOKEN, words[9]

    def _answered(self, data):
        return self._whole(data.replace(self.TOKEN, self.answer), self.TOKEN)

    @staticmethod
    def _whole(data, word):
        most = max(n for n in range(len(word)) if data.endswith(word[:n]))
        return data[:len(data) - most], data[len(data) - most:]

    @staticmethod
    def _pump(source, sink, change):
        rest = b""
        try:
            while True:
                got = source.recv(65536)
                if not got:
                    break
                rest += got
                while True:
                    out, rest = change(rest)
                    sink.sendall(out)
                    if not out or change == AnswersWaitaof._answered:
                        break
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Kafka:
    """A cluster of librdkafka's mock, in a process of its own (kafka_mock.c)."""

    PRODUCE, FETCH, INIT_PRODUCER_ID = 0, 1, 22  # as the protocol numbers requests
    UNKNOWN_TOPIC, NOT_LEADER, NOT_ENOUGH_REPLICAS, CLUSTER_AUTHORIZATION_FAILED = 3, 6, 19, 31

    def __init__(self, brokers=1):
        self.brokers = range(1, brokers + 1)
        binary = os.path.join(os.path.dirname(driver_binary()), "kafka_mock")
        self.process = subprocess.Popen([binary, str(brokers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        word, self.bootstrap = self.process.stdout.readline().split()
        assert word == "ready"

    def tell(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer.startswith("ok"), (words, answer)

    def url(self, topic, lanes=8, make=True, **more):
        if make:
            self.tell("topic", topic, lanes, len(self.brokers))
        return "kafka://%s/%s?lanes=%d%s" % (self.bootstrap, topic, lanes, "".join("&%s=%s" % o for o in more.items()))

    def all(self, word):
        for b in self.brokers:
            self.tell(word, b)

    def kill(self):
        """No broker is there any more. A mock stores again what an idempotent producer sends again: let it owe no answer."""
        self.tell("errors", self.PRODUCE, 1000, self.NOT_ENOUGH_REPLICAS)
        time.sleep(0.3)
        self.all("down")

    def start(self):
        self.all("up")
        self.tell("clear", self.PRODUCE)

    def let_go(self):
        """Whatever it keeps for those that have died. Nothing: there is no consumer group."""

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Sqs:
    """A server of our own that speaks as SQS does: in memory, so it loses all with its end; its network may be made to fail."""
    ENV = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "us-east-1"}
    FOLDER = os.path.join(TOP, "build", "node", "node_modules", "fauxqs")

    def __init__(self):
        if not os.path.exists(self.FOLDER):
            pytest.skip("fauxqs is not installed: deploy/deps --test")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["node", os.path.join(TOP, "tests", "fault", "sqs_server.mjs"), self.FOLDER, str(self.port)], stdout=self.log, stderr=self.log)
        end = time.monotonic() + 120
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                raise RuntimeError("fauxqs does not answer: " + self.log.read().decode()[-2000:])
            time.sleep(0.1)

    def _answers(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/health" % self.port, timeout=5) as r:
                return r.status == 200
        except OSError:
            return False

    def _post(self, path, fields, **headers):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), json.dumps(fields).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as r:
            return json.loads(r.read() or b"{}")

    def ask(self, action, **fields):
        return self._post("/", fields, **{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + action})

    def fault(self, **what):
        return self._post("/_fault", what, **{"Content-Type": "application/json"})

    def hidden_until(self):
        """Of what was handed out and not deleted: until when nobody else gets it."""
        return self.fault()["hidden_until"]

    def queue_url(self, name):
        return "http://127.0.0.1:%d/000000000000/%s" % (self.port, name)

    def url(self, name, lanes=1, **attributes):
        """For queue.url; makes the queues."""
        names = [name + ".fifo"] if lanes == 1 else ["%s-%d.fifo" % (name, i) for i in range(lanes)]
        for n in names:
            self.ask("CreateQueue", QueueName=n, Attributes=dict({"FifoQueue": "true"}, **attributes))
        return self.queue_url(name + ".fifo" if lanes == 1 else "%s-{lane}.fifo?lanes=%d" % (name, lanes))

    def kill(self):
        """What is under way loses its answer, what would be known for sent twice is not, and then nobody answers."""
        self.fault(lose=0.5, forget=True)
        time.sleep(0.2)
        self.freeze()

    def start(self):
        self.thaw()
        self.fault(lose=0)

    def let_go(self):
        """Whatever it keeps for those that have died: as if the ten seconds were over for which they had hidden it."""
        self.fault(expire=True)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Driver:
    """The queue's driver process on one directory."""

    def __init__(self, binary, directory, server, user="root", failpoint=None, aws=None, **options):
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env.pop("SUIMON_FAILPOINT", None)
        env.update(Sqs.ENV if aws is None else aws)
        if str(options.get("url", "")).startswith("kafka"):
            env["LSAN_OPTIONS"] = LSAN_OPTIONS
        if failpoint:
            env["SUIMON_FAILPOINT"] = failpoint
        args = [binary, directory, server.socket, user] + ["%s=%s" % o for o in options.items()]
        self.errors = open(os.path.join(os.path.dirname(directory), "driver.log"), "a")
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=env)
        self.acks, self.nacks, self.changed, self.dead = {}, {}, [], []
        self.lines = queue.Queue()
        self.news = threading.Condition()
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.said("ready", "open")

    def _read(self):
        for raw in self.process.stdout:
            if not raw.endswith(b"\n"):
                break
            line = raw.decode().rstrip("\n")
            word, _, rest = line.partition(" ")
            with self.news:
                if word == "ack":
                    tag, seq = rest.split()
                    self.acks[tag] = int(seq)
                elif word == "nack":
                    tag, kind, why = rest.split(" ", 2)
                    self.nacks[tag] = (kind, why)
                elif word == "changed":
                    self.changed.append(rest)
                else:
                    self.lines.put(line)
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()
        self.lines.put(None)

    def said(self, *words, timeout=60):
        """The next line that begins with one of these words."""
        while True:
            line = self.lines.get(timeout=timeout)
            if line is None:
                raise EOFError("the driver has ended")
            if line.split(" ")[0] in words:
                if line.startswith("open "):
                    raise RuntimeError(line)
                return line

    def send(self, *fields):
        self.process.stdin.write(("\t".join(str(f) for f in fields) + "\n").encode())
        self.process.stdin.flush()

    def add(self, tag, schema, table, sql, env="sql_mode='STRICT_TRANS_TABLES'", time_us="", *rest):
        self.send("add", tag, schema, table, sql, env, time_us, *rest)

    def wait_answers(self, n, timeout=60):
        """Until n of them were acknowledged or refused."""
        end = time.monotonic() + timeout
        with self.news:
            while len(self.acks) + len(self.nacks) < n:
                if self.ended:
                    raise EOFError("%d of %d answers; refused: %s" % (len(self.acks) + len(self.nacks), n, self.nacks))
                if not self.news.wait(end - time.monotonic()):
                    raise TooLate("%d of %d answers; refused: %s" % (len(self.acks) + len(self.nacks), n, self.nacks))

    def drained(self, timeout=60):
        """Until all that was acknowledged is applied."""
        seq = max(self.acks.values(), default=0)
        self.send("applied", seq)
        self.said("applied", timeout=timeout)

    def totals(self):
        self.send("totals")
        return json.loads(self.said("totals").split(" ", 1)[1])

    def dead_letters(self):
        self.send("dead")
        found = []
        while True:
            line = self.said("dead")
            if line.startswith("dead end"):
                assert line == "dead end 0", line
                return found
            _, number, code, seq, sql = line.split(" ", 4)
            found.append((int(number), int(code), int(seq), sql))

    def quit(self):
        self.send("quit")
        self.process.stdin.close()
        code = self.process.wait(timeout=60)
        self.reader.join()
        self._close()
        return code

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.reap()

    def reap(self, timeout=60):
        """Until it has ended by itself; everything it had said is read."""
        code = self.process.wait(timeout=timeout)
        self.reader.join()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self._close()
        return code

    def _close(self):
        self.process.stdout.close()
        self.errors.close()
