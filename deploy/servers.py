"""Servers for the quickstart and the tests: MariaDB, Redis and suimon on free loopback ports, in a directory of their own.

Every process is started by this module, remembered by its id, and ended by that id and nothing else. Nothing here uses
a configuration file of the machine's. The accounts are for loopback and a temporary directory only.
"""
import ctypes
import datetime
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pymysql

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOOPBACK = "127.0.0.1"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ServerError(Exception):
    """A server that did not start, did not stop, or did not answer; the text says which and why."""


class TooLate(ServerError):
    """What was waited for had not come when the time was over."""


def _listening_ports():
    """Ports to listen on, one after the other from anywhere among those that no outgoing connection is given. Tests that
    run side by side have each a share of them: between the choice of a port and its use there is time."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low, high = 10240, int(f.read().split()[0])
    if high - low < 2000:
        low, high = 10240, 65536
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    share = (high - low) // max(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), worker + 1)
    start = random.randrange(share)
    for i in itertools.count(start):
        yield low + worker * share + i % share


_ports = _listening_ports()


def free_port(wanted=0):
    """The wanted loopback port if nothing listens there, else any free one; never one that was given out lately."""
    for port in itertools.islice(itertools.chain((wanted,) if wanted else (), _ports), 1000):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    raise ServerError("no free loopback port")


PATIENCE = 30 # seconds: a busy machine is no failure, so no limit is shorter


def wait_until(what, condition, timeout, interval=0.02):
    """Calls condition until it is true; its last exception, if any, is in the error."""
    end = time.monotonic() + max(timeout, PATIENCE)
    why = ""
    while True:
        try:
            value = condition()
            if value:
                return value
            why = ""
        except Exception as e:  # a server on its way up fails in many ways
            why = ": %s" % e
        if time.monotonic() > end:
            raise TooLate("%s: not within %g s%s" % (what, timeout, why))
        time.sleep(interval)


def tail(path, lines=30):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError as e:
        return str(e)


def _end_with_parent():
    # A parent killed outright must not leave servers behind. The kernel means the thread that started the child: start
    # servers from threads that outlive them.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A child in a session of its own (a terminal's Ctrl-C is ours to handle), its output in a log file."""

    def __init__(self, name, argv, log, env=None):
        self.name = name
        self.argv = argv
        self.log = log
        self.env = env
        self.pass_fds = ()
        self.child = None

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.env,
                                          start_new_session=True, pass_fds=self.pass_fds, preexec_fn=_end_with_parent)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def wait_ready(self, condition, timeout):
        def ready():
            if not self.alive():
                return True
            return condition()
        try:
            wait_until(self.name, ready, timeout)
        except ServerError as e:
            raise type(e)("%s\n%s" % (e, tail(self.log))) from None
        if not self.alive():
            raise ServerError("%s ended with %s\n%s" % (self.name, self.child.returncode, tail(self.log)))

    def signal(self, number):
        self.child.send_signal(number)

    def stop(self, timeout=30):
        """SIGTERM, and SIGKILL only if that did not help. The exit code; None if it never ran."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode

    def kill(self):
        self.child.kill()
        self.child.wait()


# What the servers' accounts are, beside those of the data. `app` is listed in suimon's config, `guest` comes through by
# pass-through, `monitor` is what suimon watches the servers with, `suimon_queue` what its queue is drained with.
ACCOUNTS = (
    "DELETE FROM mysql.global_priv WHERE User = ''",
    "FLUSH PRIVILEGES",
    "CREATE USER replication@'%' IDENTIFIED BY 'replication'",
    "GRANT REPLICATION SLAVE ON *.* TO replication@'%'",
    "CREATE USER app@'%' IDENTIFIED BY 'app'",
    "CREATE USER guest@'%' IDENTIFIED BY 'guest'",
    "CREATE USER monitor@'%' IDENTIFIED BY 'monitor'",
    "GRANT REPLICATION CLIENT, REPLICATION SLAVE, SLAVE MONITOR, PROCESS, SELECT, SHOW VIEW, TRIGGER ON *.* TO monitor@'%'",
    "CREATE USER suimon_queue@'%' IDENTIFIED BY 'suimon_queue'",
    "GRANT ALL ON suimon.* TO suimon_queue@'%'",
)


_made = []  # MariaDB


def discard_data():
    """Removes the data of the servers that were made here and do not run; their logs stay."""
    ended = [s for s in _made if s.process is None or not s.process.alive()]
    for s in ended:
        shutil.rmtree(s.data, ignore_errors=True)
        _made.remove(s)


class MariaDB:
    """One MariaDB server. root has no password and is reached by the unix socket only."""
    accounts = ACCOUNTS

    def __init__(self, base, name, server_id, options=()):
        self.dir = os.path.join(base, name)
        self.data = os.path.join(self.dir, "data")
        self.socket = os.path.join(self.dir, "mariadb.sock")
        self.port = free_port()
        self.server_id = server_id
        self.options = list(options)
        self.log = os.path.join(self.dir, "log")
        self.process = None
        os.makedirs(self.dir)
        _made.append(self)

    @staticmethod
    def _as_user():
        return ["--user=root"] if os.geteuid() == 0 else []

    def install(self, template=None):
        """Makes the data directory; template, another server's that never started, saves the work."""
        if template is not None:
            shutil.copytree(template.data, self.data)
            return
        # --force: a container may have no /etc/hosts, and nothing here goes by a host's name.
        argv = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
                "--force", "--datadir=" + self.data] + self._as_user()
        # Each cleans its folder for temporary tables when it starts, and with it that of another one under way.
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "TMPDIR": self.dir})
        if done.returncode != 0:
            raise ServerError("mariadb-install-db: %s" % done.stdout.decode(errors="replace"))

    def start(self):
        mariadbd = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if mariadbd is None:
            raise ServerError("mariadbd is not installed: run deploy/deps")
        argv = [mariadbd, "--no-defaults", "--datadir=" + self.data, "--socket=" + self.socket, "--port=%d" % self.port,
                "--bind-address=" + LOOPBACK, "--pid-file=" + os.path.join(self.dir, "pid"), "--skip-name-resolve",
                "--server-id=%d" % self.server_id, "--log-bin=binlog", "--log-slave-updates", "--binlog-format=ROW",
                "--gtid-strict-mode=ON", "--log-bin-trust-function-creators=ON", "--relay-log=relay",
                "--slave-net-timeout=10", "--max-connections=600",
                "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci", "--max-allowed-packet=64M",
                "--performance-schema=OFF", "--innodb-buffer-pool-size=96M", "--innodb-log-file-size=64M",
                "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--key-buffer-size=1M",
                "--tmpdir=" + self.dir] + self._as_user() + self.options
        self.process = Process("MariaDB %d" % self.server_id, argv, self.log)
        self.process.start()
        self.process.wait_ready(lambda: self.root().close() or True, 60)

    def stop(self):
        if self.process is not None:
            self.process.stop(60)

    def root(self, **more):
        more.setdefault("autocommit", True)
        return pymysql.connect(unix_socket=self.socket, user="root", charset="utf8mb4", **more)

    def connect(self, user, password, **more):
        """A client's connection over TCP, without suimon."""
        more.setdefault("autocommit", True)
        return pymysql.connect(host=LOOPBACK, port=self.port, user=user, password=password, **more)

    def sql(self, *statements):
        """Runs them as root; the rows of the last."""
        with self.root() as c, c.cursor() as cur:
            for s in statements:
                cur.execute(s)
            return cur.fetchall()

    def status(self, name):
        return int(self.sql("SHOW GLOBAL STATUS LIKE '%s'" % name)[0][1])

    def replication(self, *statements):
        """Runs what changes its replication; in MariaDB's words, whichever the server is."""
        return self.sql(*statements)

    def promote(self):
        self.replication("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF")

    def demote(self, primary):
        """Makes a former primary a replica of the new one."""
        self.sql("SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos")
        self.follow(primary)

    def follow(self, primary):
        """Makes it a read-only GTID replica of primary."""
        self.sql("SET GLOBAL read_only = ON",
                 "CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%d, MASTER_USER='replication', MASTER_PASSWORD='replication',"
                 " MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos" % (LOOPBACK, primary.port),
                 "START SLAVE")

    def position(self):
        return self.sql("SELECT @@gtid_binlog_pos")[0][0]

    def applied(self):
        """How far a replica is: the number of its primary's last transaction that it has applied."""
        return int(self.sql("SELECT @@gtid_slave_pos")[0][0].split("-")[2])

    def catch_up(self, primary, timeout=30):
        position = primary.position()
        if self.sql("SELECT MASTER_GTID_WAIT('%s', %g)" % (position, timeout))[0][0] != 0:
            raise ServerError("replica did not catch up with %s: %s" % (position, self.sql("SHOW SLAVE STATUS")))


def grants(schema):
    return ["GRANT ALL ON `%s`.* TO %s@'%%'" % (schema, user) for user in ("app", "guest", "suimon_queue")]


def pair(base, schemas=(), make=MariaDB):
    """A primary and its replica, started, with the accounts and the schemas. make: the servers' class."""
    return family(base, ("primary", "replica"), schemas, make=make)


def family(base, names, schemas=(), template=None, make=MariaDB):
    """A primary (the first name) and its replicas, as pair(). template: a server that was installed and never started."""
    members = [make(base, name, i + 1) for i, name in enumerate(names)]
    primary, replicas = members[0], members[1:]
    try:
        primary.install(template)
        for r in replicas:
            r.install(primary)
        for m in members:
            m.start()
        for r in replicas:
            r.follow(primary)
        primary.sql(*primary.accounts)
        for schema in schemas:
            primary.sql("CREATE DATABASE `%s`" % schema, *grants(schema))
        for r in replicas:
            r.catch_up(primary)
    except BaseException:
        for m in members:
            m.stop()
        raise
    return tuple(members)


class Redis:
    """One Redis server without persistence."""

    def __init__(self, base, name="redis"):
        self.dir = os.path.join(base, name)
        self.port = free_port()
        os.makedirs(self.dir)
        argv = ["redis-server", "--port", str(self.port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no",
                "--dir", self.dir]
        self.process = Process("Redis", argv, os.path.join(self.dir, "log"))

    @property
    def url(self):
        return "redis://%s:%d/0" % (LOOPBACK, self.port)

    def command(self, *words):
        """Sends one command; the raw reply of one read (enough for what is asked here)."""
        with socket.create_connection((LOOPBACK, self.port), 5) as s:
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            return s.recv(65536).decode(errors="replace")

    def start(self):
        self.process.start()
        self.process.wait_ready(lambda: self.command("PING").startswith("+PONG"), 20)

    def start_again(self):
        """Where its process has ended, or was killed."""
        self.process = Process("Redis", self.process.argv, self.process.log)
        self.start()

    def stop(self):
        self.process.stop(20)


def find_suimon():
    """The binary: $SUIMON, else the first that is built."""
    given = os.environ.get("SUIMON")
    places = [given] if given else [os.path.join(TOP, "build", d, "suimon") for d in ("release", "asan", "")]
    for path in places:
        if os.access(path, os.X_OK):
            return path
    raise ServerError("no suimon binary at %s" % " or ".join(places))


def yaml(value, indent=0):
    """A config as YAML: dicts, lists, strings, numbers, booleans. Strings are quoted, so that none means anything else."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join("%s%s:%s" % (pad, _key(k), _nested(v, indent)) for k, v in value.items())
    if isinstance(value, list) and value:
        return "".join("%s-%s" % (pad, _nested(v, indent)) for v in value)
    return pad + _scalar(value) + "\n"


def _key(key):
    return key if key.replace("_", "").isalnum() else json.dumps(key)


def _nested(value, indent):
    if isinstance(value, (dict, list)) and value:
        return "\n" + yaml(value, indent + 1)
    return " " + _scalar(value) + "\n"


def _scalar(value):
    if value is True or value is False:
        return "on" if value else "off"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)


class Suimon:
    """One suimon: config dict (or text) written to a file, started, asked over HTTP, ended by SIGTERM."""

    def __init__(self, base, config, name="suimon", binary=None, mysql_port=0, http_port=0):
        self.dir = os.path.join(base, name)
        os.makedirs(self.dir, exist_ok=True)
        self.mysql_port = free_port(mysql_port)
        self.http_port = free_port(http_port)
        self.file = os.path.join(self.dir, "suimon.yaml")
        self.log = os.path.join(self.dir, "log")
        self.binary = binary or find_suimon()
        self.config = config
        self.process = Process("suimon", [self.binary, "-c", self.file], self.log, self._env())

    @staticmethod
    def _env():
        env = dict(os.environ)
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99:handle_abort=1")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
        return env

    def write(self, config=None):
        """Writes the config file, the addresses to listen on filled in."""
        if config is not None:
            self.config = config
        config = dict(self.config)
        config["listen"] = dict(config.get("listen", {}))
        config["listen"].setdefault("mysql", "%s:%d" % (LOOPBACK, self.mysql_port))
        config["listen"].setdefault("http", "%s:%d" % (LOOPBACK, self.http_port))
        with open(self.file, "w") as f:
            f.write(yaml(config))

    def start(self, ready=True):
        """ready: waits for /readyz; else only for the HTTP port to answer."""
        if not os.path.exists(self.file):
            self.write()
        self.process.start()
        self.process.wait_ready(lambda: self.http("/readyz" if ready else "/healthz")[0] == 200, 30)
        return self

    def stop(self, timeout=40):
        return self.process.stop(timeout)

    def upgrade(self, pid):
        """An upgrade in place of its process pid: the new one's id, once that serves. It is no child of ours."""
        def served():
            return self.log_text().count("took over from the former process")
        before = served()
        os.kill(pid, signal.SIGUSR2)
        wait_until("the new process to serve", lambda: served() > before, 60)
        return int(re.findall(r"a new process starts pid=(\d+)", self.log_text())[-1])

    @property
    def url(self):
        return "http://%s:%d" % (LOOPBACK, self.http_port)

    def http(self, path, data=None, method=None, headers=None, timeout=10):
        """(status, body text). data: a value sent as JSON, by POST."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors="replace")

    def api(self, path, **more):
        status, text = self.http(path, **more)
        if status != 200:
            raise ServerError("%s: %d %s" % (path, status, text))
        return json.loads(text)

    def metrics(self):
        return parse_metrics(self.http("/metrics")[1])

    def connect(self, user="app", password="app", **more):
        more.setdefault("autocommit", True)
        more.setdefault("charset", "utf8mb4")
        more.setdefault("read_timeout", 60)
        return pymysql.connect(host=LOOPBACK, port=self.mysql_port, user=user, password=password, **more)

    def resident(self):
        """Resident memory in bytes."""
        return status_field(self.process.pid, "VmRSS") * 1024

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()


def said_at(text, what):
    """The time, in seconds since 1970, of a log's last line with these words."""
    line = [line for line in text.splitlines() if what in line][-1]
    return datetime.datetime.fromisoformat(line.split()[1].replace("Z", "+00:00")).timestamp()


def drain_times(text):
    """By a log's own times, which no waiting of a test's is in: the seconds from its last drain's begin until the last session was gone, and until the end."""
    begun = said_at(text, "main: draining ")
    return said_at(text, "main: drained") - begun, said_at(text, "main: stopped") - begun


def status_field(pid, name):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise ServerError("/proc/%d/status has no %s" % (pid, name))


def parse_metrics(text):
    """Prometheus text as {name or name{labels}: number}; raises on a line that is none."""
    values = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, number = line.rpartition(" ")
        if not name:
            raise ServerError("not a metric: %r" % line)
        values[name] = float(number)
    return values


def sum_metric(values, name, *labels):
    """The sum of a metric over its label sets, or over those that hold all of labels (each 'key="value"')."""
    total = 0.0
    for key, number in values.items():
        bare, _, rest = key.partition("{")
        if bare == name and all(label in rest for label in labels):
            total += number
    return total


def quantile(before, after, name, share):
    """The bound under which `share` of what a histogram counted between two readings lies, over all its label sets."""
    counts = {}
    for key, number in after.items():
        if key.startswith(name + "_bucket{"):
            bound = float(key.split('le="')[1].split('"')[0])
            counts[bound] = counts.get(bound, 0.0) + number - before.get(key, 0.0)
    total = counts.get(float("inf"), 0.0)
    return next((bound for bound in sorted(counts) if total and counts[bound] >= share * total), 0.0)


def listing(value):
    """The rows of an API answer: the answer itself, or the one list in it."""
    if isinstance(value, list):
        return value
    return next((v for v in value.values() if isinstance(v, list)), [])
