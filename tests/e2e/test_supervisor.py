"""Under a supervisor that speaks systemd's protocol: sockets handed over, readiness, reloads, the watchdog, the stop (R4, F1)."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import ask, ended_well
import servers


class Supervisor:
    """The other end of NOTIFY_SOCKET, and what hands sockets over as LISTEN_FDS."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.said = []
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while True:
            try:
                text = self.sock.recv(4096).decode()
            except OSError:
                return
            with self.lock:
                self.said += [(line, time.monotonic()) for line in text.splitlines()]

    def lines(self):
        with self.lock:
            return [line for line, _ in self.said]

    def wait(self, what, since=0, seconds=30):
        """Waits for a line that begins so; gives it."""
        def heard():
            return next((line for line in self.lines()[since:] if line.startswith(what)), None)
        return servers.wait_until("%s to be said" % what, heard, seconds)

    def close(self):
        self.sock.close()


@pytest.fixture
def supervisor(tmp_path):
    s = Supervisor(str(tmp_path))
    yield s
    s.close()


def supervised(instance, supervisor, sockets=(), watchdog=0):
    """Starts it as systemd does: sockets from descriptor 3 on, and what the variables say of them."""
    env = instance.process.env
    env["NOTIFY_SOCKET"] = supervisor.path
    words = []
    if sockets:
        env["LISTEN_FDS"] = str(len(sockets))
        env["LISTEN_FDNAMES"] = ":".join(name for name, _ in sockets)
        words.append("LISTEN_PID=$$")
    if watchdog:
        env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        words.append("WATCHDOG_PID=$$")
    # What descriptors come from is moved out of the way first: the shell's redirections put them where they belong.
    moved = [os.dup(s.fileno()) for _, s in sockets]
    instance.process.pass_fds = moved
    places = " ".join("%d<&%d" % (3 + i, fd) for i, fd in enumerate(moved))
    closed = " ".join("%d<&-" % fd for fd in moved if fd >= 3 + len(moved))
    instance.process.argv = ["/bin/bash", "-c", "%s exec %s -c %s %s %s" % (
        ("export %s;" % " ".join(words)) if words else "", instance.binary, instance.file, places, closed)]
    try:
        instance.start()
    finally:
        for fd in moved:
            os.close(fd)


def listening(port=0, path=None):
    s = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_STREAM)
    s.bind(path if path else (servers.LOOPBACK, port))
    s.listen(64)
    return s


def test_readiness_reload_and_stop_are_told(suimon, supervisor):
    s = suimon(run=False)
    supervised(s, supervisor)
    supervisor.wait("READY=1")
    assert supervisor.wait("STATUS=").startswith("STATUS=serving clients with 2 workers")
    said = len(supervisor.lines())
    s.process.signal(signal.SIGHUP)
    supervisor.wait("RELOADING=1", said)
    assert int(supervisor.wait("MONOTONIC_USEC=", said).split("=")[1]) <= time.monotonic() * 1e6
    supervisor.wait("READY=1", said)
    ended_well(s)
    s.judged = True
    supervisor.wait("STOPPING=1", said)
    assert int(supervisor.wait("EXTEND_TIMEOUT_USEC=", said).split("=")[1]) >= (5 + 8) * 1e6  # drain_timeout is 5s here
    assert supervisor.lines().index("STOPPING=1") > supervisor.lines().index("READY=1")


def test_a_reload_that_is_refused_ends_as_well(suimon, supervisor):
    s = suimon(run=False)
    supervised(s, supervisor)
    supervisor.wait("READY=1")
    said = len(supervisor.lines())
    s.write({**s.config, "threads": 3})
    s.process.signal(signal.SIGHUP)
    supervisor.wait("RELOADING=1", said)
    supervisor.wait("READY=1", said)
    assert "threads: only a restart can change it" in s.log_text()
    status = supervisor.wait("STATUS=", said)
    assert "refused" in status and "threads: only a restart can change it" in status
    said = len(supervisor.lines())
    s.write({**s.config, "threads": 2})
    s.process.signal(signal.SIGHUP)
    assert supervisor.wait("STATUS=", said).startswith("STATUS=serving clients with 2 workers")


def with_token(suimon, supervisor, folder, name):
    """One whose admin_token is a credential in that folder, and what a reload by HTTP with a token is answered."""
    folder.mkdir()
    (folder / name).write_text("first\n")
    s = suimon({"admin_token": "${TOKEN}"}, run=False)
    s.process.env["CREDENTIALS_DIRECTORY"] = str(folder)
    supervised(s, supervisor)

    def reload_with(token):
        return s.http("/api/config/reload", method="POST", headers={"Authorization": "Bearer " + token})[0]
    return s, reload_with


def test_the_units_reload_needs_no_credentials(suimon, supervisor, tmp_path):
    """As systemd 252 runs ExecReload= under ProtectSystem=strict: the variable is there, the folder it names is not."""
    unit = os.path.join(os.path.dirname(servers.find_suimon()), "suimon.service")
    if not os.path.exists(unit):
        pytest.skip("suimon.service is not built: this binary stands alone")
    with open(unit) as f:
        commands = re.findall(r"^ExecReload=(.+)$", f.read(), re.M)
    assert commands
    # The unit's credential is a folder named suimon: its files are suimon_NAME.
    s, reload_with = with_token(suimon, supervisor, tmp_path / "credentials", "suimon_TOKEN")
    said = len(supervisor.lines())
    s.write({**s.config, "admin_token": "${TOKEN}-new"})
    for command in commands:
        done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, timeout=60, env={
            "PATH": "/usr/bin:/bin", "MAINPID": str(s.process.pid), "CREDENTIALS_DIRECTORY": str(tmp_path / "masked")})
        assert done.returncode == 0, done.stderr
    supervisor.wait("READY=1", said)
    assert (reload_with("first"), reload_with("first-new")) == (401, 200)


def test_the_units_stop_waits_for_the_end(suimon, supervisor, db):
    """As systemd runs ExecStop=: of a main process that an upgrade has made it would not wait itself."""
    db.setup("CREATE TABLE t (n INT)")
    with open(os.path.join(servers.TOP, "deploy", "systemd", "suimon.service.in")) as f:
        command = re.search(r"^ExecStop=/bin/sh -c '(.+)'$", f.read(), re.M).group(1).replace("$$", "$")
    s = suimon({"drain_timeout": "60s"}, run=False)
    supervised(s, supervisor)
    c = s.connect(database=db.name)
    c.begin()
    ask(c, "INSERT INTO t VALUES (1)")
    stop = subprocess.Popen(["/bin/sh", "-c", command], env={"PATH": os.environ["PATH"], "MAINPID": str(s.process.pid)})
    reaper = threading.Thread(target=s.process.child.wait)
    reaper.start()
    supervisor.wait("STOPPING=1")
    assert stop.poll() is None
    c.commit()
    c.close()
    assert stop.wait(60) == 0
    reaper.join(60)
    assert s.process.child.returncode == 0
    assert db.primary("SELECT COUNT(*) FROM t") == ((1,),)
    assert subprocess.run(["/bin/sh", "-c", command], env={"PATH": os.environ["PATH"]}, timeout=60).returncode == 0  # it has ended by itself


def test_credentials_of_a_folder_of_ones_own_are_read_at_each_reload(suimon, supervisor, tmp_path):
    """systemd's folder stays as it was at the start; one that the unit's environment names may change."""
    folder = tmp_path / "credentials"
    s, reload_with = with_token(suimon, supervisor, folder, "TOKEN")
    assert (reload_with("second"), reload_with("first")) == (401, 200)
    (folder / "TOKEN").write_text("second\n")
    said = len(supervisor.lines())
    s.process.signal(signal.SIGHUP)
    supervisor.wait("READY=1", said)
    assert (reload_with("first"), reload_with("second")) == (401, 200)
    assert "second" not in s.log_text()


def test_sockets_that_are_handed_over_serve_instead_of_its_own(suimon, supervisor, db, tmp_path):
    s = suimon(run=False)
    path = str(tmp_path / "mysql.sock")
    tcp, unix, http = listening(), listening(path=path), listening(port=0)
    own = s.mysql_port
    s.http_port = http.getsockname()[1]
    supervised(s, supervisor, [("mysql", tcp), ("http", http), ("mysql", unix)])
    s.mysql_port = tcp.getsockname()[1]
    with s.connect(database=db.name) as c:
        assert ask(c, "SELECT 1") == ((1,),)
    with s.connect(database=db.name, unix_socket=path) as c:
        assert ask(c, "SELECT 2") == ((2,),)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((servers.LOOPBACK, own), 5)
    assert s.http("/healthz")[0] == 200
    ended_well(s)
    s.judged = True
    # They belong to whoever made them: a client that comes while nobody serves waits for the next one.
    assert os.path.exists(path)
    socket.create_connection(tcp.getsockname(), 5).close()
    for each in (tcp, unix, http):
        each.close()


def test_a_socket_that_cannot_be_served_is_an_error(suimon, supervisor):
    s = suimon(run=False)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((servers.LOOPBACK, 0))
    with pytest.raises(servers.ServerError) as e:
        supervised(s, supervisor, [("mysql", datagrams)])
    s.judged = True
    assert "no listening stream socket" in str(e.value) and s.process.child.returncode == 2
    datagrams.close()


def test_the_watchdog_is_fed_while_all_threads_turn_and_not_beyond(suimon, supervisor, shimmed):
    limit = 1.5
    s = suimon(run=False)
    supervised(s, supervisor, watchdog=limit)

    def feeds():
        return supervisor.lines().count("WATCHDOG=1")

    def is_killed():
        """Whether systemd would have by now."""
        with supervisor.lock:
            return time.monotonic() - max(at for line, at in supervisor.said if line == "WATCHDOG=1") > limit

    servers.wait_until("three feeds", lambda: feeds() >= 3, 30)
    shimmed("hang", "worker-1")  # of two
    try:
        servers.wait_until("the watchdog's limit to be over", is_killed, 30)
        assert "has not turned" in s.log_text()
        assert s.http("/healthz")[0] == 200  # the control loop, which feeds, turns
        fed = feeds()
    finally:
        shimmed("hang", None)
    servers.wait_until("feeds again", lambda: feeds() > fed, 30)
    servers.wait_until("the log to say so", lambda: "all workers turn again" in s.log_text(), 30)
