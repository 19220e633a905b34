"""P1: the client libraries people use see the same through suimon as without it."""
import os
import subprocess

import MySQLdb
import pytest

import servers
from conftest import numbers
from servers import LOOPBACK
from wire import MULTI_STATEMENTS

HERE = os.path.dirname(os.path.abspath(__file__))
ACCOUNTS = ["app", "guest"]


def output(argv, **more):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, "%s\n%s\n%s" % (argv, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def both(db, proxy, run):
    """run(port) direct and through suimon."""
    return run(db.cluster.primary.port), run(proxy.mysql_port)


def same_lines(want, got):
    for w, g in zip(want.splitlines(), got.splitlines()):
        assert g == w
    assert len(got.splitlines()) == len(want.splitlines())


@pytest.mark.parametrize("user", ACCOUNTS)
def test_node_mysql2(db, proxy, user):
    modules = os.path.join(servers.TOP, "build", "node", "node_modules")
    assert os.path.isdir(modules), "deploy/deps --test installs mysql2"

    def run(port):
        return output(["node", os.path.join(HERE, "node", "mysql2.js"), LOOPBACK, str(port), user, user, db.name],
                      env=dict(os.environ, NODE_MODULES=modules, TZ="UTC"))
    same_lines(*both(db, proxy, run))


@pytest.mark.parametrize("user", ACCOUNTS)
def test_php_pdo_and_mysqli(db, proxy, user):
    def run(port):
        return output(["php", os.path.join(HERE, "php", "pdo.php"), LOOPBACK, str(port), user, user, db.name])
    same_lines(*both(db, proxy, run))


MARIADB_SCRIPT = """
CREATE TABLE cli (id INT PRIMARY KEY, s VARCHAR(20));
INSERT INTO cli VALUES (1, 'one'), (2, NULL), (3, '水門');
SELECT * FROM cli;
SHOW TABLES;
DESCRIBE cli;
DELIMITER //
CREATE PROCEDURE p() BEGIN SELECT 1; SELECT s FROM cli; END//
DELIMITER ;
CALL p();
SELECT CAST('1x' AS SIGNED);
SHOW WARNINGS;
DROP PROCEDURE p;
DROP TABLE cli;
"""


@pytest.mark.parametrize("user", ACCOUNTS)
@pytest.mark.parametrize("flags", [["--table"], ["--xml"], ["--batch", "--raw"], ["--vertical", "--column-type-info"]], ids=" ".join)
def test_the_mariadb_client(db, proxy, user, flags):
    def run(port):
        return output(["mariadb", "--no-defaults", "-h", LOOPBACK, "-P", str(port), "-u", user, "-p" + user, "--default-character-set=utf8mb4",
                       "--show-warnings", *flags, db.name], input=MARIADB_SCRIPT)
    same_lines(*both(db, proxy, run))


def test_mariadb_dump(db, proxy):
    db.setup("CREATE TABLE d (id INT PRIMARY KEY, s TEXT, b BLOB)", "INSERT INTO d SELECT seq, REPEAT('x', seq), x'00ff' FROM " + numbers(1, 200),
             "CREATE VIEW v AS SELECT id FROM d")

    def run(port):
        return output(["mariadb-dump", "--no-defaults", "-h", LOOPBACK, "-P", str(port), "-uapp", "-papp", "--single-transaction", "--skip-dump-date",
                       "--skip-comments", "--no-tablespaces", "--hex-blob", "--routines", db.name])
    want, got = both(db, proxy, run)
    # The marker row differs between the servers, and a consistent read in a transaction is the primary's.
    assert got == want


@pytest.mark.parametrize("user", ACCOUNTS)
def test_mysqlclient(db, proxy, user):
    def run(port):
        c = MySQLdb.connect(host=LOOPBACK, port=port, user=user, passwd=user, db=db.name, charset="utf8mb4",
                            client_flag=MULTI_STATEMENTS)
        got = []
        cur = c.cursor()
        cur.execute("DROP TABLE IF EXISTS m")
        cur.execute("CREATE TABLE m (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(30), d DATETIME)")
        got.append(cur.executemany("INSERT INTO m (s, d) VALUES (%s, %s)", [("水%d" % n, "2024-01-01 00:00:%02d" % n) for n in range(20)]))
        got.append((c.insert_id(), cur.lastrowid))
        c.commit()
        cur.execute("SELECT * FROM m ORDER BY id")
        got += [cur.fetchall(), cur.description]
        for sql in ("SELECT * FROM missing", "INSERT INTO m (id) VALUES (1)"):
            try:
                cur.execute(sql)
            except MySQLdb.Error as e:
                got.append((type(e).__name__, e.args))
        cur.execute("SELECT CAST('1x' AS SIGNED)")
        got.append((c.warning_count(), c.show_warnings()))
        c.rollback()
        cur.execute("SELECT 1; SELECT 2")
        got.append(cur.fetchall())
        cur.nextset()
        got.append(cur.fetchall())
        cur.close()
        stream = c.cursor(MySQLdb.cursors.SSCursor)
        stream.execute("SELECT seq FROM " + numbers(1, 3000))
        got.append(sum(r[0] for r in stream))
        stream.close()
        c.ping()
        got.append((c.get_server_info(), c.character_set_name()))
        c.close()
        return got
    want, got = both(db, proxy, run)
    assert got == want


@pytest.mark.parametrize("mode", ["auto", "disable"])
def test_sysbench_read_write(db, proxy, mode):
    """A short oltp_read_write by 16 connections: no error, prepared and text."""
    common = ["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=" + LOOPBACK, "--mysql-user=app", "--mysql-password=app",
              "--mysql-db=" + db.name, "--tables=2", "--table-size=2000", "--db-ps-mode=" + mode]
    output(common + ["--mysql-port=%d" % db.cluster.primary.port, "prepare"])
    db.cluster.sync()
    text = output(common + ["--mysql-port=%d" % proxy.mysql_port, "--threads=16", "--time=4", "--mysql-ignore-errors=1213,1020,1205", "run"])
    assert "FATAL" not in text
    line = next(x for x in text.splitlines() if "transactions:" in x)
    assert int(line.split()[1]) > 0
