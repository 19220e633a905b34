"""P3: what procedures, functions and triggers set for the session that runs them is that session's and nobody else's; and those that
set nothing cost it nothing, also while procedures are made anew."""
import contextlib
import functools
import time

import pymysql
import pytest

from conftest import KIND, Background, ask, pinned, schema_is_present, who
from servers import wait_until
from wire import MULTI_STATEMENTS, NewEof

ONE_SERVER = {"replicas": [], "threads": 1, "backend": {"pool": {"max": 3, "min_idle": 0}}}


def set_up_by_app(db, *statements):
    with db.direct() as c:
        for sql in statements:
            ask(c, sql)
    db.cluster.sync()


@pytest.fixture
def shop(db):
    if KIND == "mysql":  # where app may not drop what root has defined
        db.setup = functools.partial(set_up_by_app, db)
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 10), (2, 20)", "CREATE TABLE log (what TEXT)")
    return db


def is_its_own(s, schema, run, read):
    """run() sets something for its session. Two others, in transactions, have the other two connections, and a third one waits for one of these.
    Returns what these read."""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(s.connect(database=schema)) for _ in range(3)]
        before = ask(others[0], read)
        run()
        for other in others[:2]:
            other.begin()
            assert ask(other, read) == before
        late = Background(others[2], read)
        time.sleep(0.3)
        others[0].commit()
        assert late.outcome() == before
    return before


def run_anyway(c, sql):
    with contextlib.suppress(pymysql.MySQLError):
        ask(c, sql)


VALUES = {"@v": "10", "@@div_precision_increment": "9"}
TRIGGERS = {
    "a variable": ("CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SET @v = 10",),
    "a system variable": ("CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SET @@div_precision_increment = 9",),
    "into": ("CREATE TRIGGER r AFTER INSERT ON log FOR EACH ROW BEGIN IF 1 THEN SELECT n INTO @v FROM t WHERE id = 1; END IF; END",),
    "an expression": ("CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SET NEW.what = (@v := 10)",),
    "a procedure": ("CREATE PROCEDURE p() SELECT n INTO @v FROM t WHERE id = 1", "CREATE PROCEDURE q(OUT x INT) CALL p()",
                    "CREATE TRIGGER r AFTER INSERT ON log FOR EACH ROW BEGIN DECLARE x INT; CALL q(x); END"),
    "an argument": ("CREATE PROCEDURE p(OUT x INT) SELECT n INTO x FROM t WHERE id = 1", "CREATE TRIGGER r AFTER INSERT ON log FOR EACH ROW CALL p(@v)"),
    "a function": ("CREATE FUNCTION f() RETURNS INT DETERMINISTIC BEGIN SELECT 10 INTO @v; RETURN 1; END",
                   "CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SET NEW.what = f()"),
    "another trigger": ("CREATE TABLE l (n INT)", "CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW INSERT INTO l VALUES (1)",
                        "CREATE TRIGGER o BEFORE INSERT ON l FOR EACH ROW SELECT 10 INTO @v"),
    "behind a view": ("CREATE TABLE l (what TEXT)", "DROP TABLE log", "CREATE VIEW log AS SELECT what FROM l",
                      "CREATE TRIGGER r BEFORE INSERT ON l FOR EACH ROW SELECT 10 INTO @v"),
    "one that fails": ("ALTER TABLE log ADD n INT DEFAULT 1 CHECK (n > 5)", "CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SELECT 10 INTO @v"),
    "of a procedure's": ("CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SELECT 10 INTO @v", "CREATE PROCEDURE writes() INSERT INTO log (what) VALUES ('x')"),
}


WRITES = {"of a procedure's": "CALL writes()", "in a block": "BEGIN NOT ATOMIC INSERT INTO log (what) VALUES ('x'); END",
          "of several statements": "DO 1; INSERT INTO log (what) VALUES ('x')", "of a statement with settings": "SET STATEMENT max_statement_time = 1 FOR INSERT INTO log (what) VALUES ('x')"}
TRIGGERS.update({how: TRIGGERS["into"] for how in WRITES if how not in TRIGGERS and (KIND == "mariadb" or how == "of several statements")})


@pytest.mark.parametrize("how", TRIGGERS)
def test_what_a_trigger_sets_is_its_sessions(suimon, shop, how):
    shop.setup(*TRIGGERS[how])
    s = schema_is_present(suimon(ONE_SERVER))
    read = "SELECT %s" % ("@@div_precision_increment" if "system" in how else "@v")
    with s.connect(database=shop.name, client_flag=MULTI_STATEMENTS) as c:
        is_its_own(s, shop.name, lambda: run_anyway(c, WRITES.get(how, "INSERT INTO log (what) VALUES ('x')")), read)
        assert str(ask(c, read)[0][0]) == VALUES[read[7:]]


FUNCTIONS = {
    "a variable": ("SELECT f()", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC BEGIN SET @v = 10; RETURN 1; END"),
    "into": ("SELECT f()", "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN SELECT n INTO @v FROM t WHERE id = 1; RETURN 1; END"),
    "a system variable": ("SELECT f()", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC BEGIN SET @@div_precision_increment = 9; RETURN 1; END"),
    "an inner one": ("SELECT g()", "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN SELECT n INTO @v FROM t WHERE id = 1; RETURN 1; END",
                     "CREATE FUNCTION g() RETURNS INT READS SQL DATA RETURN f()"),
    "behind a view": ("SELECT n FROM w", "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN SELECT n INTO @v FROM t WHERE id = 1; RETURN 1; END",
                      "CREATE VIEW w AS SELECT f() AS n"),
    "a procedure's": ("CALL p()", "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN SELECT n INTO @v FROM t WHERE id = 1; RETURN 1; END",
                      "CREATE PROCEDURE p() DO f()"),
}


@pytest.mark.parametrize("how", FUNCTIONS)
def test_what_a_function_sets_is_its_sessions(suimon, shop, how):
    """To a client to whom the server would say at the end of the rows what they have changed: of this it says nothing."""
    sql, *made = FUNCTIONS[how]
    shop.setup(*made)
    s = schema_is_present(suimon(ONE_SERVER))
    read = "SELECT %s" % ("@@div_precision_increment" if "system" in how else "@v")
    with NewEof(s.connect(database=shop.name, client_flag=NewEof.FLAG)) as c:
        is_its_own(s, shop.name, lambda: c.ask(sql), read)
        assert c.ask(read) == [VALUES[read[7:]]]


# MySQL prepares the text of a user variable, but not of another.
PREPARE = "PREPARE s FROM a" if KIND == "mariadb" else "SET @text = a; PREPARE s FROM @text"
PROCEDURES = ("CREATE PROCEDURE gives(OUT v INT) SELECT n INTO v FROM t WHERE id = 1", "CREATE PROCEDURE into_it() SELECT n INTO @v FROM t WHERE id = 1",
              "CREATE PROCEDURE sets() SET @v = 10", "CREATE PROCEDURE calls() CALL into_it()",
              "CREATE PROCEDURE fails() BEGIN SELECT n INTO @v FROM t WHERE id = 1; SELECT n FROM nosuch; END",
              "CREATE PROCEDURE any_text(IN a TEXT) BEGIN %s; EXECUTE s; DEALLOCATE PREPARE s; END" % PREPARE,
              "CREATE PROCEDURE variable() SET @@div_precision_increment = 9",
              "CREATE PROCEDURE variable_and_rows() BEGIN SET @@div_precision_increment = 9; SELECT n FROM t; END")
CALLS = {"CALL gives(@v)": "@v", "SELECT 1; CALL gives(@v)": "@v", "CALL into_it()": "@v", "CALL sets()": "@v", "CALL calls()": "@v", "CALL fails()": "@v",
         "CALL any_text('SET @v = 10')": "@v", "CALL variable()": "@@div_precision_increment", "CALL variable_and_rows()": "@@div_precision_increment"}


@pytest.mark.parametrize("call", CALLS)
def test_what_a_procedure_sets_is_its_sessions(suimon, shop, call):
    """Of user variables, and of SET @@name, MariaDB reports nothing."""
    shop.setup(*PROCEDURES)
    s = schema_is_present(suimon(ONE_SERVER))
    read = "SELECT %s" % CALLS[call]
    with s.connect(database=shop.name, client_flag=MULTI_STATEMENTS) as c:
        before = is_its_own(s, shop.name, lambda: run_anyway(c, call), read)
        assert ask(c, read) == ((int(VALUES[CALLS[call]]),),)
    with s.connect(database=shop.name) as third:
        assert ask(third, read) == before


def test_what_a_view_sets_is_its_sessions_though_rows_tell_nothing(suimon, shop):
    """A client without CLIENT_DEPRECATE_EOF: servers report at the end of its rows nothing, and what they have to report to whoever comes next."""
    shop.setup("CREATE FUNCTION f() RETURNS INT DETERMINISTIC BEGIN SET SESSION div_precision_increment = 9; RETURN 1; END",
               "CREATE VIEW w AS SELECT f() AS n")
    s = schema_is_present(suimon(ONE_SERVER))
    with s.connect(database=shop.name) as c:
        is_its_own(s, shop.name, lambda: ask(c, "SELECT n FROM w"), "SELECT @@div_precision_increment")
        assert ask(c, "SELECT @@div_precision_increment") == ((9,),)


VIEWS = {"a new one": ("CREATE VIEW late AS SELECT f() AS n FROM t", "SELECT n FROM late"),
         "made anew": ("CREATE OR REPLACE VIEW w AS SELECT f() AS n FROM t", "SELECT n FROM over_w"),
         "altered": ("ALTER VIEW w AS SELECT f() AS n FROM t", "SELECT n FROM w"),
         "where a table was": ("DROP TABLE log; CREATE VIEW log AS SELECT f() AS n FROM t", "SELECT n FROM log")}


@pytest.mark.parametrize("how", VIEWS)
def test_what_a_view_sets_that_was_just_made_is_its_sessions(suimon, shop, how):
    """P3, to a client whose rows tell nothing; also if it is gone again before it could be read."""
    made, read = VIEWS[how]
    shop.setup("CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN SELECT n INTO @v FROM t WHERE id = 1; RETURN 1; END")
    with shop.direct() as owner:
        ask(owner, "CREATE VIEW w AS SELECT n FROM t")
        ask(owner, "CREATE VIEW over_w AS SELECT n FROM w")
    s = schema_is_present(suimon(ONE_SERVER))

    def run():
        for sql in (*made.split("; "), read, "DROP VIEW %s" % made.split("VIEW ")[1].split()[0]):
            ask(c, sql)

    with s.connect(database=shop.name) as c:
        is_its_own(s, shop.name, run, "SELECT @v")
        assert ask(c, "SELECT @v") == ((10,),)
        wait_until("it to be known", lambda: "unknown" in pinned(s), 20)


def test_a_view_that_can_set_nothing_has_no_schema_read(suimon, shop):
    """P3: of tables without triggers, and of no function, its text says all; until something comes that it may be made of."""
    s = schema_is_present(suimon(ONE_SERVER))

    def views():
        return s.metrics()["suimon_catalog_views"]

    before = views()
    with s.connect(database=shop.name) as c:
        ask(c, "CREATE VIEW w AS SELECT id, n FROM t WHERE n < 100 WITH CHECK OPTION")
        ask(c, "CREATE OR REPLACE VIEW over_w AS SELECT id, n FROM w")
        assert ask(c, "SELECT n FROM over_w WHERE id = 1") == ((10,),)
        ask(c, "UPDATE over_w SET n = 11 WHERE id = 1")
        assert pinned(s) == [None]
        ask(c, "CREATE TRIGGER r BEFORE UPDATE ON t FOR EACH ROW SET @v = 10")
        assert views() == before
        is_its_own(s, shop.name, lambda: ask(c, "UPDATE over_w SET n = 12 WHERE id = 1"), "SELECT @v")
        assert ask(c, "SELECT @v") == ((10,),)
        wait_until("it to be known", lambda: "unknown" in pinned(s), 20)
        assert views() == before + 2


def test_a_view_that_sets_something_is_the_primarys(suimon, shop):
    """R1, P3: on a replica the session would be stuck there."""
    shop.setup("CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN SELECT n INTO @v FROM t WHERE id = 1; RETURN 1; END",
               "CREATE VIEW w AS SELECT name, f() AS n FROM whoami")
    s = schema_is_present(suimon({"threads": 1}))
    with NewEof(s.connect(database=shop.name, client_flag=NewEof.FLAG)) as c:
        wait_until("a replica", lambda: ask_of(s, shop) == "replica", 20)
        assert c.ask("SELECT name FROM w WHERE n") == ["primary"]
        assert c.ask("INSERT INTO t VALUES (3, 30)") is None


def test_a_read_on_a_replica_whose_function_is_made_anew_meanwhile_keeps_nobody_from_writing(suimon, shop, cluster):
    """R1, P1: until the schema is read nobody knows what it has set there; a write waits for that."""
    body = "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN DECLARE n INT; SELECT COUNT(*) INTO n FROM whoami; RETURN n; END"
    shop.setup(body)
    s = schema_is_present(suimon({"threads": 1}))
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin, cluster.replica.root(database=shop.name) as locker:
        wait_until("a replica", lambda: who(c) == "replica", 20)
        ask(c, "SELECT f()")
        assert set(pinned(s)) == {None}
        ask(locker, "LOCK TABLES whoami WRITE")
        read = Background(c, "SELECT f()")
        wait_until("it to run", lambda: [i["statement"] for i in s.api("/api/clients")["clients"] if i["id"] == c.thread_id()] != [None], 10)
        with nothing_is_read(s, shop.name):
            for sql in ("DROP FUNCTION f", body):
                ask(admin, sql)
            ask(locker, "UNLOCK TABLES")
            assert read.outcome() == ((1,),)
            assert "unknown_yet" in pinned(s)
            write = Background(c, "INSERT INTO log VALUES ('x')")
        assert write.outcome() == ()
        wait_until("the pin to end", lambda: set(pinned(s)) == {None}, 20)


def ask_of(s, shop):
    with s.connect(database=shop.name) as c:
        return who(c)


def test_a_lock_of_a_procedures_is_its_sessions(suimon, shop):
    shop.setup("CREATE PROCEDURE locks() DO GET_LOCK(DATABASE(), 0)")
    s = schema_is_present(suimon(ONE_SERVER))
    with s.connect(database=shop.name) as c:
        ask(c, "CALL locks()")
        assert pinned(s) == ["unknown"]


def test_triggers_and_functions_that_set_nothing_pin_nothing(suimon, shop):
    """They read the server's variables, have @ in strings and comments, set local variables and columns of the row; what a cascade changes fires
    nothing."""
    shop.setup("CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW BEGIN DECLARE a, b INT DEFAULT 1; SET a = 2, b = @@div_precision_increment + 1; "
               "IF a AND NEW.what LIKE '%@%' THEN SELECT n INTO a FROM t WHERE id = 1; /* SET @v = 1 */ SET NEW.what = a; END IF; END",
               "CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES t (id) ON DELETE CASCADE)",
               "CREATE TRIGGER c AFTER DELETE ON child FOR EACH ROW SET @v = 10", "INSERT INTO child VALUES (2)",
               "CREATE FUNCTION f(a INT) RETURNS INT READS SQL DATA BEGIN DECLARE v INT; SELECT n INTO v FROM t WHERE id = a; SET v = v + 1; RETURN v; END")
    s = schema_is_present(suimon(ONE_SERVER))
    with s.connect(database=shop.name) as c, NewEof(s.connect(database=shop.name, client_flag=NewEof.FLAG)) as w:
        ask(c, "INSERT INTO log VALUES ('a@b')")
        assert w.ask("SELECT f(1)") == ["11"]
        ask(c, "DELETE FROM t WHERE id = 2")
        assert w.ask("SELECT @v") == [""]  # NULL: no trigger ran
        assert pinned(s) == [None, None]


def test_a_procedure_that_reads_and_writes_rows_pins_nothing(suimon, shop):
    shop.setup("CREATE PROCEDURE add_t(IN a INT) UPDATE t SET n = n + a")
    s = schema_is_present(suimon({"replicas": []}))
    with s.connect(database=shop.name) as c:
        ask(c, "CALL add_t(1)")
        with pytest.raises(pymysql.MySQLError):
            ask(c, "CALL nosuch()")
        assert pinned(s) == [None]


@contextlib.contextmanager
def nothing_is_read(s, schema):
    """While DDL waits at the server, for ten seconds at most, the schema is not read."""
    with s.connect(database=schema) as holder, s.connect(database=schema) as alters:
        holder.begin()
        ask(holder, "SELECT COUNT(*) FROM t")
        waiting = Background(alters, "ALTER TABLE t ADD COLUMN late INT")
        wait_until("it to wait", lambda: s.api("/api/cache")["catalog"]["stale"], 10)
        yield
        holder.commit()
        assert waiting.outcome() == ()


def made_again(body):
    return ["DROP PROCEDURE IF EXISTS p", "CREATE PROCEDURE p() %s" % body]


WHERE = {"alone": ONE_SERVER, "cached": dict(ONE_SERVER, cache={"rules": [{"match": {"query": "nothing"}, "ttl": "1s"}]})}


@pytest.fixture(params=WHERE)
def made(request, suimon, shop):
    """A procedure is made anew, and another one is there. With a cache the schema is read after any DDL, else only where somebody has to know."""
    shop.setup("CREATE PROCEDURE p() DO 1", "CREATE PROCEDURE q() DO 2", "CREATE PROCEDURE calls_p() CALL p()",
               "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "CREATE VIEW w AS SELECT f() AS n")
    return schema_is_present(suimon(dict(WHERE[request.param], backend={"pool": {"max": 10}})))


def test_procedures_made_anew_pin_nobody_who_calls_others(made, shop):
    s = made
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin:
        with nothing_is_read(s, shop.name):
            for sql in made_again("DO 3"):
                ask(admin, sql)
            ask(c, "CALL q()")
            assert sorted(pinned(s), key=str) == [None, None, None, "transaction"]


# What another session changes, what is run then, what is changed behind that, and what pins are left.
CHANGES = {
    "a procedure": (made_again("DO 3"), "CALL p()", (), {None}),
    "one that is called by another": (made_again("DO 3"), "CALL calls_p()", (), {None}),
    "one beside which another is gone again": (made_again("DO 3"), "CALL p()", ["DROP PROCEDURE q", "CREATE PROCEDURE q() DO 4", "DROP PROCEDURE q"], {None}),
    "one that is dropped behind its call": (made_again("DO 3"), "CALL p()", ["DROP PROCEDURE p"], {None, "unknown"}),
    "one that is made anew behind its call": (made_again("SELECT 10 INTO @v"), "CALL p()", ["CREATE OR REPLACE PROCEDURE p() DO 3"] if KIND == "mariadb" else made_again("DO 3"),
                                              {None, "unknown"}),
    "a trigger that is gone again": (["CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SELECT 10 INTO @v"], "INSERT INTO log VALUES ('x')", ["DROP TRIGGER r"],
                                     {None, "unknown"}),
    "a trigger that is gone again by its table's other name": (["CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SELECT 10 INTO @v", "RENAME TABLE log TO log2"],
                                                              "INSERT INTO log2 VALUES ('x')", ["DROP TRIGGER r"], {None, "unknown"}),
    "a table that is gone again": (["CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SELECT 10 INTO @v"], "INSERT INTO log VALUES ('x')", ["DROP TABLE log"],
                                   {None, "unknown"}),
    "two triggers": (["CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SET NEW.what = 'replace'"], "INSERT INTO log VALUES ('x')",
                     ["CREATE TRIGGER o AFTER INSERT ON log FOR EACH ROW DO 'replace'"], {None}),
    "a trigger that sets something": (["CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SELECT 10 INTO @v"], "INSERT INTO log VALUES ('x')", (), {None, "unknown"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_ddl_has_changed_pins_until_it_is_known(made, shop, what):
    ddl, run, later, pins = CHANGES[what]
    s = made
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin:
        with nothing_is_read(s, shop.name):
            for sql in ddl:
                ask(admin, sql)
            ask(c, run)
            assert "unknown_yet" in pinned(s)
            for sql in later:
                ask(admin, sql)
        wait_until("it to be known", lambda: set(pinned(s)) == pins, 20)  # though nobody asks anything any more
        assert {i["id"]: i["pinned"] for i in s.api("/api/clients")["clients"]}[c.thread_id()] in (pins - {None} or {None})


MAKES = "CREATE TEMPORARY TABLE tmp AS SELECT 7 AS n"
# What p was when the schema was read, and what a session does then.
MOVES = {
    "altered and dropped": (MAKES, ["ALTER PROCEDURE p COMMENT 'x'", "CALL p()", "DROP PROCEDURE p"]),
    "altered and made to set nothing": (MAKES, ["ALTER PROCEDURE p COMMENT 'x'", "CALL p()", *made_again("DO 1")]),
    "a migration": ("DO 1", [*made_again(MAKES), "CALL p()", "DROP PROCEDURE p"]),
    "a migration's lock": ("DO 1", [*made_again("DO GET_LOCK(DATABASE(), 0)"), "CALL p()", *made_again("DO 1")]),
    "a migration in one text": ("DO 1", ["; ".join((*made_again(MAKES), "CALL p()", "DROP PROCEDURE p"))]),
}


@pytest.mark.parametrize("how", MOVES)
def test_what_a_procedure_set_that_is_gone_again_is_its_sessions(suimon, shop, how):
    """P3, P1: the last reading before it and the first one behind it tell nothing of what it was."""
    body, statements = MOVES[how]
    shop.setup("CREATE PROCEDURE p() %s" % body)
    s = schema_is_present(suimon(ONE_SERVER))
    with contextlib.ExitStack() as stack:
        c, *others = [stack.enter_context(s.connect(database=shop.name, client_flag=MULTI_STATEMENTS)) for _ in range(4)]
        for sql in statements:
            ask(c, sql)
        wait_until("it to be known", lambda: "unknown_yet" not in pinned(s), 20)
        assert set(pinned(s)) & {"unknown", "temp_table"}
        for other in others[:2]:
            other.begin()
            assert ask(other, "SELECT IS_USED_LOCK(DATABASE()) = CONNECTION_ID()") in (((None,),), ((0,),))
            with pytest.raises(pymysql.ProgrammingError):
                ask(other, "SELECT n FROM tmp")


WITH_IT = {
    "a procedure": (["DROP PROCEDURE %s.p", "CREATE PROCEDURE %s.p() SELECT 10 INTO @v"], "CALL %s.p()"),
    "a trigger": (["CREATE TRIGGER %s.r BEFORE INSERT ON %s.log FOR EACH ROW SELECT 10 INTO @v"], "INSERT INTO %s.log VALUES ('x')"),
}


@pytest.mark.parametrize("what", WITH_IT)
def test_what_set_something_and_is_gone_with_its_database_is_its_sessions(suimon, shop, what):
    """P3: as a suite of tests leaves it."""
    made, ran = WITH_IT[what]
    gone = shop.name + "_gone"
    shop.setup("CREATE DATABASE " + gone, "CREATE TABLE %s.log (what TEXT)" % gone, "CREATE PROCEDURE %s.p() DO 1" % gone)
    s = schema_is_present(suimon(ONE_SERVER))
    with s.connect(database=shop.name) as c:
        is_its_own(s, shop.name, lambda: [ask(c, sql.replace("%s", gone)) for sql in (*made, ran, "DROP DATABASE %s")], "SELECT @v")
        wait_until("it to be known", lambda: "unknown" in pinned(s), 20)
        assert ask(c, "SELECT @v") == ((10,),)


def test_what_a_procedure_set_that_was_made_anew_while_it_ran_is_its_sessions(suimon, shop):
    """P3: the schema was read anew before it was through."""
    shop.setup("CREATE PROCEDURE p() BEGIN SELECT 10 INTO @v; DO SLEEP(2); END")
    s = schema_is_present(suimon(WHERE["cached"]))

    def run():
        call = Background(c, "CALL p()")
        wait_until("it to sleep", lambda: shop.primary("SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep' AND DB = '%s'" % shop.name), 10)
        with s.connect(database=shop.name) as admin:
            for sql in made_again("DO 1"):
                ask(admin, sql)
        wait_until("the schema to be read", lambda: not s.api("/api/cache")["catalog"]["stale"], 10)
        assert call.outcome() == ()

    with s.connect(database=shop.name) as c:
        is_its_own(s, shop.name, run, "SELECT @v")
        assert ask(c, "SELECT @v") == ((10,),)


def test_who_calls_while_hundreds_of_procedures_are_made_is_not_pinned_for_good(made, shop):
    """More at once than are told apart, and more behind them: of what this one calls it is known that it is none of them."""
    s = made
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin:
        with nothing_is_read(s, shop.name):
            for n in range(70):
                ask(admin, "CREATE PROCEDURE one_%d() DO 1" % n)
            ask(c, "CALL q()")
            assert "unknown_yet" in pinned(s)
        for n in range(300):
            ask(admin, "CREATE PROCEDURE more_%d() DO 1" % n)
            ask(c, "CALL q()")
        wait_until("the pin to end", lambda: set(pinned(s)) == {None}, 20)


def test_altering_or_dropping_a_procedure_pins_nobody_who_calls_it(made, shop):
    """Its body is what was read, or it is not there any more."""
    s = made
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin:
        with nothing_is_read(s, shop.name):
            ask(admin, "ALTER PROCEDURE p COMMENT 'x'")
            ask(c, "CALL p()")
            ask(admin, "DROP PROCEDURE p")
            with pytest.raises(pymysql.MySQLError):
                ask(c, "CALL p()")
            assert set(pinned(s)) == {None, "transaction"}


def test_what_an_unread_procedure_set_before_it_called_what_is_not_there_is_its_sessions(suimon, shop):
    """P3: the error is the same as if it were not there itself, but for the name in it."""
    s = schema_is_present(suimon(ONE_SERVER))
    shop.setup("CREATE PROCEDURE late() BEGIN SELECT 10 INTO @v; CALL nosuch(); END")
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as other:
        with pytest.raises(pymysql.MySQLError) as refused:
            ask(c, "CALL late()")
        assert refused.value.args[0] == 1305
        ask(other, "SELECT n FROM t")
        assert ask(c, "SELECT @v") == ((10,),)
        wait_until("it to be known", lambda: set(pinned(s)) == {None, "unknown"}, 20)


def test_a_trigger_that_would_call_what_is_not_there_pins_its_session(suimon, shop):
    """What that would set nobody knows; which statement brought it there does not matter."""
    shop.setup("CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW BEGIN IF NEW.what = 'never' THEN CALL nosuch(); END IF; END")
    s = schema_is_present(suimon(ONE_SERVER))
    with s.connect(database=shop.name) as c:
        for _ in range(2):
            ask(c, "INSERT INTO log VALUES ('x')")
            wait_until("its pin", lambda: pinned(s) == ["unknown"], 20)
            ask(c, "SELECT COUNT(*) FROM log")


def test_what_the_server_could_not_read_is_not_remembered(made, shop):
    """Not a word of it ran: it does not go on pinning when something else is known."""
    s = made
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin:
        with nothing_is_read(s, shop.name):
            for sql in (*made_again("DO 3"), "CREATE TRIGGER r BEFORE INSERT ON log FOR EACH ROW SELECT 10 INTO @v"):
                ask(admin, sql)
            with pytest.raises(pymysql.ProgrammingError):
                ask(c, "INSERT INTO log VALUES ('x'))")
            assert set(pinned(s)) == {None, "transaction"}
            ask(c, "CALL p()")
            assert "unknown_yet" in pinned(s)
        wait_until("the pin to end", lambda: set(pinned(s)) == {None}, 20)


def test_a_function_made_anew_counts_from_its_beginning(made, shop):
    s = made
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin, s.connect(database=shop.name) as other:
        with nothing_is_read(s, shop.name):
            for sql in ("DROP FUNCTION f", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC BEGIN SELECT 10 INTO @v; RETURN 1; END"):
                ask(admin, sql)
            ask(c, "SELECT n FROM w")
            ask(other, "CALL q()")
            assert [x for x in pinned(s) if x and x != "transaction"] == ["unknown_yet"]
        wait_until("it to be known", lambda: "unknown" in pinned(s), 20)
        assert ask(c, "SELECT @v") == ((10,),) and ask(other, "SELECT @v") == ((None,),)


def test_a_procedure_that_was_made_to_set_something_goes_on_pinning(made, shop):
    s = made
    with s.connect(database=shop.name) as c, s.connect(database=shop.name) as admin, s.connect(database=shop.name) as other:
        with nothing_is_read(s, shop.name):
            for sql in made_again("SET @v = 10"):
                ask(admin, sql)
            ask(c, "CALL p()")
            assert ask(other, "SELECT @v") == ((None,),)
        wait_until("it to be known", lambda: "unknown" in pinned(s), 20)
        assert ask(c, "SELECT @v") == ((10,),) and ask(other, "SELECT @v") == ((None,),)
        ask(other, "CALL p()")
        assert pinned(s).count("unknown") == 2


def test_before_the_schema_was_read_calls_pin_until_it_is(suimon, shop, cluster):
    shop.setup("CREATE PROCEDURE p() DO 1")
    name = "late_%s" % shop.name
    s = suimon(dict(ONE_SERVER, backend={"monitor": {"user": name, "password": "w"}}), run=False)
    s.start(True)
    try:
        with s.connect(database=shop.name) as c:
            ask(c, "CALL p()")
            with pytest.raises(pymysql.MySQLError):
                ask(c, "CALL nosuch()")
            assert pinned(s) == ["unknown_yet"]
            cluster.setup("CREATE USER %s@'%%' IDENTIFIED BY 'w'" % name, "GRANT SELECT ON *.* TO %s@'%%'" % name)
            wait_until("the pin to end", lambda: pinned(s) == [None], 20)
    finally:
        cluster.setup("DROP USER IF EXISTS %s@'%%'" % name)


def test_what_the_account_may_not_see_is_told_once(suimon, shop, cluster):
    """An account that may look at replication alone: who calls a procedure keeps a connection, and the log says which right is missing."""
    shop.setup("CREATE PROCEDURE p() DO 1", "CREATE PROCEDURE q() DO 1")
    name = "blind_%s" % shop.name
    cluster.setup("CREATE USER %s@'%%' IDENTIFIED BY 'w'" % name, "GRANT REPLICATION CLIENT ON *.* TO %s@'%%'" % name)
    try:
        s = schema_is_present(suimon(dict(ONE_SERVER, backend={"monitor": {"user": name, "password": "w"}})))
        for sql in ("CALL p()", "CALL q()"):
            with s.connect(database=shop.name) as c:
                ask(c, sql)
                wait_until("it to be known", lambda: pinned(s) == ["unknown"], 30)
        assert s.log_text().count("cannot be seen: sessions that call such keep a server connection each") == 1
        assert "mysql.proc" in s.log_text()
    finally:
        cluster.setup("DROP USER %s@'%%'" % name)
