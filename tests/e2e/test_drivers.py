"""P1, P4: more of the drivers people use: the same lines through suimon as direct, with statements prepared here and there, streamed results,
transactions, several statements at once, local files, big packets and compression. (test_clients.py has the others.)"""
import glob
import os
import shutil

import pytest

from conftest import mariadb_only
from servers import LOOPBACK
from test_clients import HERE, both, output, same_lines

JAR = sorted(glob.glob("/usr/share/java/mariadb-java-client*.jar"))

pytestmark = mariadb_only("Debian's drivers are MariaDB's")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows"
    path.write_text("".join("%d\trow %d\n" % (n, n) for n in range(1000)))
    return str(path)


def compare(db, proxy, argv, user="app", last=(), **more):
    def run(port):
        return output(argv + [LOOPBACK, str(port), user, user, db.name, *last], **more)
    want, got = both(db, proxy, run)
    assert len(want.splitlines()) > 20
    same_lines(want, got)


@pytest.mark.parametrize("driver,compress", [("mysql", "1"), ("MariaDB", "0")])
def test_perl(db, proxy, file, driver, compress):
    compare(db, proxy, ["perl", os.path.join(HERE, "perl", "dbd.pl")], last=[driver, compress, file])


def test_ruby_mysql2(db, proxy, file):
    compare(db, proxy, ["ruby", os.path.join(HERE, "ruby", "mysql2.rb")], last=[file], env=dict(os.environ, TZ="UTC", LANG="C.UTF-8"))


@pytest.mark.skipif(not JAR or not shutil.which("javac"), reason="no JDK, or no libmariadb-java")
@pytest.mark.parametrize("options", ["useServerPrepStmts=false", "useServerPrepStmts=true&useBulkStmts=true&useCompression=true"])
def test_jdbc(db, proxy, file, options):
    compare(db, proxy, ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JAR[0], os.path.join(HERE, "java", "Jdbc.java")], last=[options, file],
            env=dict(os.environ, TZ="UTC", LANG="C.UTF-8"))
