"""Servers in the configuration that the expected results of MariaDB's regression suite were made with.

The suite's own runner is asked once to make its system tables and its configuration file; both are kept as a template,
and every server here is a copy of it: InnoDB and the other plugins that the suite switches on test by test are on for
good, and so is the binary log, which replicas need.
"""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy"))
import servers  # noqa: E402
from servers import LOOPBACK, ServerError  # noqa: E402

SUITE = "/usr/share/mysql/mysql-test"
RUNNER = os.path.join(SUITE, "mariadb-test-run.pl")
# What the template says of places and ports, which every server has its own of, and the plugins that stay on.
OWN = re.compile(r"--(secure-file-priv|basedir|tmpdir|datadir|pid-file|port|socket|log-error|general-log|slow-query-log|"
                 r"general-log-file|slow-query-log-file|server-id|bind-address)(=|$)")
WANTED_PLUGIN = re.compile(r"--loose-skip-plugin-(innodb|partition|sequence|unix-socket|user-variables)")


def tool(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise ServerError("%s is not installed: run deploy/deps --test" % name)
    return found


class Template:
    """The suite's system tables and the options of its configuration; made in `directory` unless it is there already."""

    def __init__(self, directory):
        self.data = os.path.join(directory, "data")
        self._list = os.path.join(directory, "options")
        if not os.path.exists(self._list):
            self._make(directory)
        with open(self._list) as f:
            self.options = f.read().splitlines()

    def _make(self, directory):
        var = os.path.join(directory, "var")
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        made = subprocess.run(["perl", RUNNER, "--vardir=" + var, "--start-and-exit", "--user=root", "main.1st"],
                              cwd=SUITE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, MTR_BUILD_THREAD="auto"), timeout=180)
        sock = os.path.join(var, "tmp", "mysqld.1.sock")
        stopped = subprocess.run([tool("mariadb-admin"), "--no-defaults", "-uroot", "-S", sock, "shutdown"],
                                 stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        if stopped.returncode != 0:
            raise ServerError("the suite's runner made no server: %s" % made.stdout.decode(errors="replace")[-2000:])
        pid = os.path.join(var, "run", "mysqld.1.pid")
        servers.wait_until("the template's server to end", lambda: not os.path.exists(pid), 60)
        shutil.move(os.path.join(var, "install.db"), self.data)
        printed = subprocess.run([tool("my_print_defaults"), "--defaults-file=" + os.path.join(var, "my.cnf"), "mysqld",
                                  "mysqld.1"], capture_output=True, check=True, text=True).stdout.splitlines()
        with open(self._list, "w") as f:
            f.writelines(o + "\n" for o in printed if not OWN.match(o) and not WANTED_PLUGIN.match(o))
        shutil.rmtree(var, ignore_errors=True)


class Server:
    """One MariaDB of the suite. `var` is what the suite's runner calls its vardir: tests load from it and write into it."""

    def __init__(self, var, template, server_id=1, options=()):
        self.var = var
        self.template = template
        self.server_id = server_id
        self.options = list(options)
        self.dir = os.path.join(var, "mysqld.1")
        self.socket = os.path.join(self.dir, "s.sock")
        self.log = os.path.join(var, "log", "mysqld.1.err")
        self.port = servers.free_port()
        self.process = None

    def _arguments(self):
        at = {"basedir": "/usr", "character-sets-dir": "/usr/share/mysql/charsets", "secure-file-priv": self.var,
              "datadir": os.path.join(self.dir, "data"), "tmpdir": os.path.join(self.var, "tmp", "mysqld.1"),
              "pid-file": os.path.join(self.dir, "pid"), "port": self.port, "socket": self.socket,
              "bind-address": LOOPBACK, "log-error": self.log, "server-id": self.server_id, "log-output": "FILE",
              "general-log": 1, "general-log-file": os.path.join(self.dir, "mysqld.log"), "slow-query-log": 1,
              "slow-query-log-file": os.path.join(self.dir, "mysqld-slow.log"), "log-bin": "mysqld-bin",
              "binlog-format": "MIXED", "loose-debug-sync-timeout": 300, "user": "root"}
        return (self.template.options + ["--%s=%s" % item for item in at.items()] + self.options)

    def start(self):
        """With data as the template has it, whatever was there before."""
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(os.path.join(self.var, "tmp"), ignore_errors=True)
        for place in ("log", "run", "tmp/mysqld.1"):
            os.makedirs(os.path.join(self.var, place), exist_ok=True)
        if not os.path.exists(os.path.join(self.var, "std_data")):
            shutil.copytree(os.path.join(SUITE, "std_data"), os.path.join(self.var, "std_data"))
        os.makedirs(self.dir)
        shutil.copytree(self.template.data, os.path.join(self.dir, "data"))
        self.process = servers.Process("MariaDB of the suite", [tool("mariadbd"), "--no-defaults"] + self._arguments(),
                                       self.log)
        self.process.start()
        self.process.wait_ready(lambda: self.sql("SELECT 1"), 60)

    def stop(self):
        if self.process is not None:
            self.process.stop(60)

    def sql(self, *statements):
        """Runs them as root; the rows of the last, each a dict."""
        import pymysql
        with pymysql.connect(unix_socket=self.socket, user="root", autocommit=True,
                             cursorclass=pymysql.cursors.DictCursor) as c, c.cursor() as cur:
            for s in statements:
                cur.execute(s)
            return cur.fetchall()

    def follow(self, primary):
        self.sql("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%d, MASTER_USER='root', MASTER_PASSWORD='',"
                 " MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos" % (LOOPBACK, primary.port), "START SLAVE")

    def stopped_why(self):
        """Why this replica applies nothing more; "" if it does."""
        for row in self.sql("SHOW SLAVE STATUS"):
            if row["Slave_SQL_Running"] != "Yes" or row["Slave_IO_Running"] not in ("Yes", "Connecting"):
                return row["Last_SQL_Error"] or row["Last_IO_Error"] or "stopped"
        return ""
