"""The test suites of drivers and of layers above them: how each is run against a server on a port, and read.

Each class is made once, with a working folder and the arguments of tests/conformance/drivers, and its run(port, log) gives the
verdict of every test by name: PASS, FAIL or SKIP. What a suite needs beyond its source must be installed by its user.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "deploy"))
from servers import LOOPBACK  # noqa: E402

PASSWORD = "drivers"
SCHEMA = "drivers"
SECOND = "drivers_too"
GO_PACKAGE = "/usr/share/gocode/src/github.com/go-sql-driver/mysql"
GO_RESULT = re.compile(r"^--- (PASS|FAIL|SKIP): (\S+)", re.M)
PHP_VERDICTS = {"PASSED": "PASS", "WARNED": "PASS", "XFAILED": "PASS", "SKIPPED": "SKIP"} # WARNED: passed, where a failure was expected
PHP_SUITES = ("ext/mysqli/tests", "ext/pdo_mysql/tests")
PYTHON = "/usr/bin/python3"
LIMIT = 3600 # seconds a suite may take


def source_copy(base, args, holds, what):
    """The unpacked source that --source names, in a folder of its own: suites write beside their files."""
    if not args.source or not os.path.exists(os.path.join(args.source, holds)):
        sys.exit("drivers: --source must name the unpacked source of " + what)
    copy = os.path.join(base, "source")
    shutil.copytree(args.source, copy, symlinks=True)
    return copy


def run(argv, log, **more):
    with open(log, "w") as out:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=LIMIT, **more)


def pytest(where, tests, log, env=None, more=()):
    """Runs pytest on files or folders of the source; its verdicts by class and name."""
    results = log + ".xml"
    run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", "--junitxml=" + results, *more, *tests], log, cwd=where, env=env)
    out = {}
    for case in xml.etree.ElementTree.parse(results).iter("testcase"):
        kinds = {child.tag for child in case}
        verdict = "FAIL" if kinds & {"failure", "error"} else "SKIP" if "skipped" in kinds else "PASS"
        name = "%s.%s" % (case.get("classname"), case.get("name"))
        out[name] = "FAIL" if out.get(name) == "FAIL" else verdict
    return out


class Go:
    """go-sql-driver/mysql, as Debian packages it with its tests (golang-go, golang-github-go-sql-driver-mysql-dev)."""

    def __init__(self, base, args):
        if not os.path.isdir(GO_PACKAGE) or not shutil.which("go"):
            sys.exit("drivers: install golang-go and golang-github-go-sql-driver-mysql-dev")
        self.source = os.path.join(base, "go-sql-driver")
        shutil.copytree(GO_PACKAGE, self.source)
        self.env = dict(os.environ, GOFLAGS="-mod=mod", GOPATH=os.path.join(base, "gopath"), GOCACHE=os.path.join(base, "gocache"))
        subprocess.run(["go", "test", "-c", "-o", "suite", "."], cwd=self.source, env=self.env, check=True)

    def run(self, port, log):
        env = dict(self.env, MYSQL_TEST_USER="root", MYSQL_TEST_PASS=PASSWORD, MYSQL_TEST_DBNAME=SCHEMA,
                   MYSQL_TEST_ADDR="%s:%d" % (LOOPBACK, port))
        run(["./suite", "-test.v"], log, cwd=self.source, env=env)
        with open(log, errors="replace") as f:
            return {name: verdict for verdict, name in GO_RESULT.findall(f.read())}


class Php:
    """mysqli's and PDO's, from PHP's source (run-tests.php and ext/), run by the installed php with php-mysql."""

    def __init__(self, base, args):
        self.source = args.source
        if not self.source or not os.path.exists(os.path.join(self.source, "run-tests.php")):
            sys.exit("drivers: --source must name PHP's unpacked source")

    def run(self, port, log):
        where = {"HOST": LOOPBACK, "PORT": str(port), "USER": "root", "PASSWD": PASSWORD, "DB": SCHEMA}
        env = dict(os.environ, NO_INTERACTION="1", TEST_PHP_EXECUTABLE=shutil.which("php"),
                   REDIR_TEST_DIR=os.path.join(self.source, "ext/pdo/tests"), PDO_MYSQL_TEST_PASS=PASSWORD,
                   PDO_MYSQL_TEST_DSN="mysql:host=%s;port=%d;dbname=%s" % (LOOPBACK, port, SCHEMA),
                   **{"MYSQL_TEST_" + k: v for k, v in where.items()}, **{"PDO_MYSQL_TEST_" + k: v for k, v in where.items()})
        results = log + ".results"
        run(["php", "run-tests.php", "-q", "--set-timeout", "60", "-W", results, *PHP_SUITES], log, cwd=self.source, env=env)
        with open(results, errors="replace") as f:
            lines = [line.rstrip("\n").split("\t", 1) for line in f if "\t" in line]
        return {name[name.find("ext/"):]: PHP_VERDICTS.get(verdict, "FAIL") for verdict, name in lines}


class Pymysql:
    """PyMySQL's, of its source (pymysql/tests), with the driver beside them."""

    def __init__(self, base, args):
        self.source = source_copy(base, args, "pymysql/tests/base.py", "PyMySQL")

    def run(self, port, log):
        login = {"host": LOOPBACK, "port": port, "user": "root", "passwd": PASSWORD}
        with open(os.path.join(self.source, "pymysql/tests/databases.json"), "w") as f:
            json.dump([dict(login, database=SCHEMA, use_unicode=True, local_infile=True), dict(login, database=SECOND)], f)
        return pytest(self.source, ["pymysql/tests"], log)


class Mysqlclient:
    """mysqlclient's, of its source (tests/), run with the installed python3-mysqldb."""

    def __init__(self, base, args):
        self.tests = os.path.join(source_copy(base, args, "tests/configdb.py", "mysqlclient"), "tests")
        with open(os.path.join(self.tests, "mock.py"), "w") as f:
            f.write("from unittest.mock import *\n") # a package of its own when the suite was written

    def run(self, port, log):
        with open(os.path.join(self.tests, "here.cnf"), "w") as f:
            f.write("[MySQLdb-tests]\nhost=%s\nport=%d\nuser=root\npassword=%s\ndatabase=%s\ndefault-character-set=utf8mb4\nlocal-infile=1\n"
                    % (LOOPBACK, port, PASSWORD, SCHEMA))
        return pytest(self.tests, ["."], log, dict(os.environ, TESTDB="here.cnf", PYTHONPATH=self.tests))


class Perl:
    """A DBD driver's, of its source (t/), run with the installed module by prove."""

    name = None # DBD::...
    RESULT = re.compile(r"^(not )?ok (\d+)(.*)$")
    FILE = re.compile(r"^(t/\S+?\.t) \.+ *(.*)$")

    def __init__(self, base, args):
        self.source = source_copy(base, args, "t/lib.pl", "DBD::" + self.name)

    def run(self, port, log):
        dsn = "DBI:%s:%s:%s:%d" % (self.name, SCHEMA, LOOPBACK, port)
        with open(os.path.join(self.source, "t", self.name + ".mtest"), "w") as f:
            f.write("$::test_host = '%s'; $::test_port = %d; $::test_user = 'root'; $::test_password = '%s'; $::test_db = '%s'; $::test_dsn = '%s'; 1;\n"
                    % (LOOPBACK, port, PASSWORD, SCHEMA, dsn))
        run(["prove", "-v", "t"], log, cwd=self.source)
        return self.verdicts(log)

    def verdicts(self, log):
        out, at = {}, ""
        with open(log, errors="replace") as f:
            for line in f:
                found = self.FILE.match(line)
                if found:
                    at = found.group(1)
                    if "skipped" in found.group(2):
                        out[at] = "SKIP"
                    continue
                found = self.RESULT.match(line)
                if found:
                    bad, number, text = found.groups()
                    out["%s %s" % (at, number)] = "SKIP" if "# skip" in text or "# TODO" in text else "FAIL" if bad else "PASS"
        return out


class DbdMariadb(Perl):
    name = "MariaDB"


class DbdMysql(Perl):
    name = "mysql"


SUITES = {"go": Go, "php": Php, "pymysql": Pymysql, "mysqlclient": Mysqlclient, "dbd-mariadb": DbdMariadb, "dbd-mysql": DbdMysql}
