"""MySQL servers for the tests: Debian sid's packages from the folder that tests/mysql_root makes.

Its programs are run by that folder's own loader and libraries, so that they need no chroot, see the same files as
everybody, and are children like any other: ended by their id.
"""
import contextlib
import functools
import glob
import os
import re
import shutil
import subprocess

from servers import LOOPBACK, TOP, MariaDB, Process, ServerError

# As servers.ACCOUNTS, in MySQL's words. All of them are MySQL's default, caching_sha2_password.
ACCOUNTS = (
    "CREATE USER replication@'%' IDENTIFIED BY 'replication'",
    "GRANT REPLICATION SLAVE ON *.* TO replication@'%'",
    "CREATE USER app@'%' IDENTIFIED BY 'app'",
    "CREATE USER guest@'%' IDENTIFIED BY 'guest'",
    "CREATE USER monitor@'%' IDENTIFIED BY 'monitor'",
    "GRANT REPLICATION CLIENT, REPLICATION SLAVE, PROCESS, SELECT, SHOW VIEW, TRIGGER ON *.* TO monitor@'%'",
    "CREATE USER suimon_queue@'%' IDENTIFIED BY 'suimon_queue'",
    "GRANT ALL ON suimon.* TO suimon_queue@'%'",
)


def root():
    """The folder with MySQL: $SUIMON_MYSQL_ROOT, else where tests/mysql_root puts it."""
    return os.environ.get("SUIMON_MYSQL_ROOT") or os.path.join(TOP, "build", "mysql", "root")


def program(path):
    """The words that run a program of the folder, such as usr/sbin/mysqld."""
    top = root()
    loader = sorted(glob.glob(os.path.join(top, "usr/lib*/ld-linux-*.so.*")))
    if not loader or not os.path.exists(os.path.join(top, path)):
        raise ServerError("no %s in %s: run tests/mysql_root" % (path, top))
    libraries = glob.glob(os.path.join(top, "usr/lib/*-linux-gnu")) + [os.path.join(top, "usr/lib/mysql/private")]
    return [loader[0], "--library-path", ":".join(libraries), os.path.join(top, path)]


def base_options():
    """Where a server finds its own files, and nothing of the machine's."""
    top = root()
    return ["--no-defaults", "--basedir=" + os.path.join(top, "usr"), "--lc-messages-dir=" + os.path.join(top, "usr/share/mysql"),
            "--character-sets-dir=" + os.path.join(top, "usr/share/mysql/charsets"),
            "--plugin-dir=" + os.path.join(top, "usr/lib/mysql/plugin"), "--secure-file-priv=", "--innodb-redo-log-capacity=64M"]


class MySQL(MariaDB):
    """One MySQL server. root has no password and is reached by the unix socket only."""
    accounts = ACCOUNTS

    def __init__(self, base, name, server_id, options=()):
        super().__init__(base, name, server_id, options)
        self.socket = os.path.join(self.dir, "mysql.sock")

    def _common(self):
        return program("usr/sbin/mysqld") + base_options() + ["--datadir=" + self.data, "--log-error=" + self.log] + self._as_user()

    def install(self, template=None):
        if template is not None:
            shutil.copytree(template.data, self.data)
            with contextlib.suppress(FileNotFoundError):  # a copy that never started has none
                os.remove(os.path.join(self.data, "auto.cnf"))  # its identity, which is not to be shared
            return
        done = subprocess.run(self._common() + ["--initialize-insecure"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise ServerError("mysqld --initialize-insecure: %s\n%s" % (done.stdout.decode(errors="replace"), self.log))

    def start(self):
        # local-infile is on as in MariaDB, so that the same statements mean the same on both.
        argv = self._common() + [
            "--socket=" + self.socket, "--port=%d" % self.port, "--bind-address=" + LOOPBACK, "--mysqlx=OFF",
            "--pid-file=" + os.path.join(self.dir, "pid"), "--skip-name-resolve", "--server-id=%d" % self.server_id,
            "--log-bin=binlog", "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
            "--log-bin-trust-function-creators=ON", "--relay-log=relay", "--replica-net-timeout=10",
            "--max-connections=600", "--max-allowed-packet=64M", "--local-infile=ON",
            "--innodb-buffer-pool-size=96M", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
            "--cte-max-recursion-depth=1000000", "--tmpdir=" + self.dir] + self.options
        self.process = Process("MySQL %d" % self.server_id, argv, self.log)
        self.process.start()
        self.process.wait_ready(lambda: self.root().close() or True, 90)

    def replication(self, *statements):
        words = (("CHANGE MASTER TO", "CHANGE REPLICATION SOURCE TO"), ("MASTER_", "SOURCE_"), ("SLAVE", "REPLICA"))
        return self.sql(*[functools.reduce(lambda s, w: s.replace(*w), words, statement) for statement in statements])

    def demote(self, primary):
        self.follow(primary)

    def follow(self, primary):
        self.sql("SET GLOBAL read_only = ON",
                 "CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_PORT=%d, SOURCE_USER='replication',"
                 " SOURCE_PASSWORD='replication', SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400, SOURCE_AUTO_POSITION=1,"
                 " GET_SOURCE_PUBLIC_KEY=1" % (LOOPBACK, primary.port),
                 "START REPLICA")

    def position(self):
        return self.sql("SELECT @@global.gtid_executed")[0][0]

    def applied(self):
        return max(int(n) for n in re.findall(r"[-:](\d+)(?=[,:\s]|$)", self.position()))

    def catch_up(self, primary, timeout=30):
        position = primary.position()
        if self.sql("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', %g)" % (position, timeout))[0][0] != 0:
            raise ServerError("replica did not catch up with %s: %s" % (position, self.sql("SHOW REPLICA STATUS")))


# The kind of server that SUIMON_SERVER names, and what makes one; None: no such kind.
KIND = os.environ.get("SUIMON_SERVER", "mariadb")
KINDS = {"mariadb": MariaDB, "mysql": MySQL}
MAKE = KINDS.get(KIND)
