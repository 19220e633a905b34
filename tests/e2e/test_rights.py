"""Rights taken away through suimon, in whatever way, are taken from the next session: from what the queue accepts, from what connections of
the pool may still do, from what the cache answers. What takes none away costs none of these."""
import contextlib

import pymysql
import pytest
from pymysql.constants import CLIENT, COMMAND

from conftest import ask, mariadb_only, schema_is_present
from servers import sum_metric, wait_until
from test_queue import acknowledged, queue_one

pytestmark = mariadb_only("SET DEFAULT ROLE .. FOR, EXECUTE IMMEDIATE, BEGIN NOT ATOMIC")

AGAIN = None  # the account uses them meanwhile
TAKE = "REVOKE {role} FROM {user}@'%'"
LARGE = "/* " + "x" * 1100000 + " */"  # a text of which suimon sees only the beginning
WAYS = {
    "plain": [TAKE],
    "default role": ["SET DEFAULT ROLE NONE FOR {user}@'%'"],
    "default role among variables": ["SET @a = 1, DEFAULT ROLE NONE FOR {user}@'%'"],
    "user altered": ["CREATE OR REPLACE USER {user}@'%' IDENTIFIED BY 'taken'"],
    "role dropped": ["DROP ROLE {role}"],
    "behind a SET": ["SET @a = 1; " + TAKE],
    "behind a BEGIN": ["BEGIN; " + TAKE],
    "behind a CREATE": ["CREATE TABLE made (n INT); " + TAKE],
    "behind a SELECT": ["SELECT 1; SET DEFAULT ROLE NONE FOR {user}@'%'"],
    "tables and FLUSH": ["DELETE FROM mysql.roles_mapping WHERE User = '{user}'", "SELECT 1; FLUSH PRIVILEGES"],
    "SET STATEMENT": ["SET STATEMENT max_statement_time = 10 FOR " + TAKE],
    "a comment that is run": ["/*! " + TAKE + " */"],
    "EXECUTE IMMEDIATE": ["EXECUTE IMMEDIATE 'REVOKE {role} FROM {user}'"],
    "EXECUTE IMMEDIATE of an expression": ["EXECUTE IMMEDIATE CONCAT('REV', 'OKE {role} FROM {user}')"],
    "EXECUTE IMMEDIATE of a block": ["EXECUTE IMMEDIATE 'BEGIN NOT ATOMIC REVOKE {role} FROM {user}; END'"],
    "PREPARE and EXECUTE": ["PREPARE s FROM 'REVOKE {role} FROM {user}'", "EXECUTE s"],
    "PREPARE of a variable": ["SET @sql = 'REVOKE {role} FROM {user}'", "PREPARE s FROM @sql", "EXECUTE s"],
    "PREPARE by a procedure": ["CALL prepares()", AGAIN, "EXECUTE s"],
    "PREPARE by a block": ["BEGIN NOT ATOMIC PREPARE s FROM 'REVOKE {role} FROM {user}'; END", AGAIN, "EXECUTE s"],
    "PREPARE of a CALL": ["PREPARE s FROM 'CALL harmless()'", "CREATE OR REPLACE PROCEDURE harmless() SQL SECURITY INVOKER " + TAKE, AGAIN, "EXECUTE s"],
    "PREPARE behind a GRANT": ["GRANT {role} TO {user}; PREPARE s FROM CONCAT('REVOKE {role} ', 'FROM {user}')", AGAIN, "EXECUTE s"],
    "a block": ["BEGIN NOT ATOMIC DECLARE n INT DEFAULT 1; IF n = 1 THEN " + TAKE + "; END IF; END"],
    "a block that fails": ["!BEGIN NOT ATOMIC " + TAKE + "; SELECT * FROM missing; END"],
    "a block with a text": ["BEGIN NOT ATOMIC DECLARE t TEXT DEFAULT 'REVOKE {role} FROM {user}'; EXECUTE IMMEDIATE t; END"],
    "CALL": ["CALL taken()"],
    "CALL that fails": ["!CALL taken_and_failed()"],
    "CALL of a CALL": ["CALL calls_taken()"],
    "a text that is refused behind it": ["!" + TAKE + "; SELEC"],
    "CALL with dynamic SQL": ["CALL run('REVOKE {role} FROM {user}')"],
    "CALL behind a DO": ["DO 1; CALL taken()"],
    "PREPARE of a CALL in a block": ["BEGIN NOT ATOMIC PREPARE s FROM 'CALL harmless()'; END",
                                     "CREATE OR REPLACE PROCEDURE harmless() SQL SECURITY INVOKER " + TAKE, AGAIN, "EXECUTE s"],
    "a procedure made by a text": ["PREPARE s FROM 'CREATE OR REPLACE PROCEDURE harmless() SQL SECURITY INVOKER REVOKE {role} FROM {user}'", "EXECUTE s", AGAIN,
                                   "CALL harmless()"],
    "behind a large comment": [LARGE + TAKE],
    "before a large comment": ["SELECT 1; " + TAKE + "; " + LARGE + " SELECT 2"],
    "behind a large SELECT": ["SELECT LENGTH('" + "x" * 1100000 + "'); " + TAKE],
    "CALL of what has just been made": ["CREATE OR REPLACE PROCEDURE harmless() SQL SECURITY INVOKER " + TAKE, "CALL harmless()"],
}


class Account:
    """May write log and read secret by its default role."""

    def __init__(self, db):
        self.db, self.user, self.role = db, "u_" + db.name[-12:], "r_" + db.name[-12:]
        take = self.text(TAKE)
        db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT)", "CREATE TABLE secret (n INT)", "INSERT INTO secret VALUES (42)",
                 "CREATE TABLE plain (n INT)",
                 "CREATE USER %s@'%%' IDENTIFIED BY 'taken'" % self.user, "CREATE ROLE %s" % self.role,
                 "GRANT SELECT ON plain TO %s@'%%'" % self.user, "GRANT SELECT, INSERT ON `%s`.* TO %s" % (db.name, self.role),
                 "GRANT %s TO %s@'%%'" % (self.role, self.user), "SET DEFAULT ROLE %s FOR %s@'%%'" % (self.role, self.user),
                 "CREATE USER boss_%s@'%%' IDENTIFIED BY 'boss'" % self.user, "GRANT ALL ON *.* TO boss_%s@'%%' WITH GRANT OPTION" % self.user,
                 "GRANT %s TO boss_%s@'%%' WITH ADMIN OPTION" % (self.role, self.user),
                 "CREATE PROCEDURE taken() SQL SECURITY INVOKER " + take,
                 "CREATE PROCEDURE taken_and_failed() SQL SECURITY INVOKER BEGIN " + take + "; SELECT * FROM missing; END",
                 "CREATE PROCEDURE calls_taken() SQL SECURITY INVOKER BEGIN IF 1 THEN CALL taken(); END IF; END",
                 "CREATE PROCEDURE prepares() SQL SECURITY INVOKER BEGIN PREPARE s FROM '" + self.text("REVOKE {role} FROM {user}") + "'; END",
                 "CREATE PROCEDURE run(q TEXT) SQL SECURITY INVOKER BEGIN EXECUTE IMMEDIATE q; END",
                 "CREATE PROCEDURE harmless() BEGIN CREATE OR REPLACE TEMPORARY TABLE t (user INT); START TRANSACTION; INSERT INTO plain VALUES (1); "
                 "COMMIT; DROP TEMPORARY TABLE t; END",
                 "CREATE PROCEDURE calls_harmless(a INT) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; "
                 "EXECUTE IMMEDIATE 'DO 1'; CALL harmless(); END")

    def text(self, sql):
        return sql.format(user=self.user, role=self.role)

    def drop(self):
        self.db.cluster.primary.sql("DROP USER IF EXISTS %s@'%%', boss_%s@'%%'" % (self.user, self.user), "DROP ROLE IF EXISTS %s" % self.role)

    def connect(self, s):
        return s.connect(self.user, "taken", database=self.db.name)

    def boss(self, s):
        return s.connect("boss_" + self.user, "boss", database=self.db.name, client_flag=CLIENT.MULTI_STATEMENTS)


@pytest.fixture
def account(db):
    a = Account(db)
    try:
        yield a
    finally:
        a.drop()


@pytest.fixture
def s(suimon, account):
    name = account.db.name
    return suimon({"threads": 1, "replicas": [],
                   "queue": {"rules": [{"match": {"table": name + ".log", "verb": "insert"}, "order": "table"}]},
                   "cache": {"rules": [{"match": {"table": name + ".secret"}, "ttl": "600s"}]}})


def run(c, sql):
    fails = sql.startswith("!")
    with pytest.raises(pymysql.MySQLError) if fails else contextlib.nullcontext():
        with c.cursor() as cur:
            cur.execute(sql[fails:])
            while cur.nextset():
                pass


def hits(s):
    return sum_metric(s.metrics(), "suimon_cache_hits_total")


def use(s, account, what):
    """Until the account's rights are as settled as they get: a shape accepted, a connection in the pool, a result stored."""
    with account.connect(s) as c:
        if what == "queue":
            queue_one(s, c)
        elif what == "pool":
            ask(c, "SELECT COUNT(*) FROM log")
        else:
            def hit():
                before = hits(s)
                ask(c, "SELECT n FROM secret")
                return hits(s) > before
            wait_until("a hit", hit, 20)
    schema_is_present(s)


def is_refused(s, account, what):
    before = acknowledged(s), hits(s)
    with pytest.raises(pymysql.MySQLError) as e, account.connect(s) as c:
        ask(c, {"queue": "INSERT INTO log (n) VALUES (2)", "pool": "SELECT COUNT(*) FROM log", "cache": "SELECT n FROM secret"}[what])
    assert e.value.args[0] in (1044, 1045, 1142)
    assert (acknowledged(s), hits(s)) == before
    assert account.db.primary("SELECT COUNT(*) FROM log WHERE n = 2") == ((0,),)


@pytest.mark.parametrize("what", ["queue", "pool", "cache"])
@pytest.mark.parametrize("way", WAYS)
def test_rights_taken_away_are_missing_at_once(s, account, way, what):
    use(s, account, what)
    with account.boss(s) as boss:
        for sql in WAYS[way]:
            if sql is AGAIN:
                use(s, account, what)
            else:
                run(boss, account.text(sql))
        is_refused(s, account, what)


def test_rights_taken_away_by_a_session_that_keeps_them(s, account):
    """Its own account's: a default role is of the next login."""
    use(s, account, "pool")
    with account.connect(s) as c:
        ask(c, "SET DEFAULT ROLE NONE")
    is_refused(s, account, "pool")


def test_flush_privileges_as_a_command(s, account):
    use(s, account, "pool")
    with account.boss(s) as boss:
        run(boss, account.text("DELETE FROM mysql.roles_mapping WHERE User = '{user}'"))
        with account.connect(s) as c:
            ask(c, "SELECT COUNT(*) FROM log")  # not before they are read
        boss._execute_command(COMMAND.COM_REFRESH, b"\x01")
        boss._read_ok_packet()
    is_refused(s, account, "pool")


HARMLESS = {
    "CALL": ["CALL harmless()"],
    "CALL of a CALL": ["CALL calls_harmless(1)"],
    "CALL behind a DO": ["DO 1; CALL harmless()"],
    "a large SELECT": ["SELECT LENGTH('" + "x" * 1100000 + "')"],
    "CALL of nothing": ["!CALL nothing()"],
    "EXECUTE IMMEDIATE": ["EXECUTE IMMEDIATE 'SELECT n FROM plain WHERE n = ?' USING 1"],
    "PREPARE and EXECUTE": ["PREPARE s FROM 'SELECT n AS user FROM plain'", "EXECUTE s", "DEALLOCATE PREPARE s"],
    "PREPARE of what is not known": ["SET @sql = 'REVOKE'", "!PREPARE s FROM @sql"],
    "a block": ["BEGIN NOT ATOMIC DECLARE n INT; SELECT COUNT(*) INTO n FROM plain; IF n THEN CALL harmless(); END IF; END"],
    "refused": ["!REVOKE INSERT ON mysql.* FROM nobody@'%'", "!FLUSH PRIVILEGES", "!SELEC user FROM plain"],
    "DDL": ["CREATE OR REPLACE TABLE other (user INT)", "CREATE OR REPLACE VIEW v AS SELECT * FROM other", "CALL harmless()"],
}


@pytest.mark.parametrize("way", HARMLESS)
def test_what_changes_no_rights_leaves_the_pool_as_it_is(s, account, way):
    """Nobody empties it at will: the account's connection serves its next sessions."""
    def other(act):
        with s.connect(database=account.db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
            for sql in HARMLESS[way]:
                act(c, sql)

    def connections():
        return account.db.cluster.primary.sql("SELECT id FROM information_schema.processlist WHERE user = '%s'" % account.user)

    def once(c, sql):
        with contextlib.suppress(pymysql.MySQLError):
            run(c, sql.lstrip("!"))

    use(s, account, "queue")
    other(once)  # what it makes is there from now on
    schema_is_present(s)
    with contextlib.ExitStack() as idle:
        for _ in range(8):  # where there are fewer clients than connections, those that idle are closed
            idle.enter_context(s.connect(database=account.db.name))
        with account.connect(s) as c:
            ask(c, "SELECT n FROM plain LIMIT 1")
        before = connections()
        assert before
        for _ in range(5):
            other(run)
            with account.connect(s) as c:
                ask(c, "SELECT n FROM plain LIMIT 1")
        assert connections() == before
