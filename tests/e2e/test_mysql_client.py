"""P1 for MySQL's own command-line client, version 8.4 or later, with whichever server stands behind.

It logs in with utf8mb4_0900_ai_ci, knows caching_sha2_password in all its forms and no native passwords, and asks for
query attributes. It comes with the folder that tests/mysql_root makes.
"""
import subprocess

import pytest

import mysql_server
from conftest import KIND
from servers import LOOPBACK, ServerError

try:
    CLIENT = mysql_server.program("usr/bin/mysql")
except ServerError as e:
    pytestmark = pytest.mark.skip(reason="MySQL's client (tests/run --mysql): %s" % e)

SCRIPT = """
SELECT 1 AS one, 'värchar 水門' AS text, NULL, 1.5;
CREATE TABLE cli (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40), d DATETIME(3));
INSERT INTO cli (v, d) VALUES ('x', '2024-01-02 03:04:05.678'), ('y', NULL);
SELECT LAST_INSERT_ID();
SELECT * FROM cli ORDER BY id;
SHOW CREATE TABLE cli;
BEGIN; UPDATE cli SET v = 'z'; SELECT ROW_COUNT(); ROLLBACK;
SELECT v FROM cli ORDER BY id;
SET NAMES latin1; SELECT v FROM cli WHERE id = 1; SET NAMES utf8mb4;
SELECT * FROM missing;
SELECT CAST('1x' AS SIGNED);
SHOW WARNINGS;
DROP TABLE cli;
"""


def run(client, user, port, schema, *more):
    done = subprocess.run(client + ["--no-defaults", "-h", LOOPBACK, "-P", str(port), "-u", user, "-p" + user, "--force",
                                    "--default-character-set=utf8mb4", "--show-warnings", *more, schema],
                          input=SCRIPT.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return done.stdout.decode(errors="replace").splitlines()


# MariaDB's client shows a statement that failed, MySQL's a warning of its own, and they differ about a blank.
NOISE = ("", "--------------", "SELECT * FROM missing", "mysql: [Warning] Using a password on the command line interface can be insecure.")


def quiet(lines):
    return [line.replace(' "', '"') for line in lines if line not in NOISE]


@pytest.mark.parametrize("user", ["app", "guest"])
@pytest.mark.parametrize("flags", [["--table"], ["--batch", "--raw"], ["--vertical"], ["--xml"]], ids=" ".join)
def test_the_mysql_client(db, proxy, user, flags):
    more = ["--ssl-mode=DISABLED", "--get-server-public-key", *flags]
    if KIND == "mariadb":  # whose accounts have native passwords, which this client has no way to give to the server itself
        want = run(["mariadb"], user, db.cluster.primary.port, db.name, *flags)
    else:
        want = run(CLIENT, user, db.cluster.primary.port, db.name, *more)
    got = run(CLIENT, user, proxy.mysql_port, db.name, *more)
    assert any("Table '%s.missing' doesn't exist" % db.name in line for line in want), want
    assert quiet(got) == quiet(want)
