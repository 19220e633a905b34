"""P3: a temporary table that a procedure, function or trigger has made is its session's for as long as that lasts: no server tells of it."""
import contextlib

import pymysql
import pytest

from conftest import KIND, address, ask, pinned, schema_is_known
from liar import Liar, packet
from wire import MULTI_STATEMENTS, Wire

ONE_SERVER = {"replicas": [], "threads": 1, "backend": {"pool": {"max": 4, "min_idle": 0}}}
MAKE = "CREATE TEMPORARY TABLE tmp AS SELECT 7 AS n"
PREPARED = ("PREPARE s FROM '%s'; EXECUTE s; DEALLOCATE PREPARE s" % MAKE)
FAILS = "INSERT INTO strict VALUES (1), (1)"

# What makes it, what a client says, and the reason that is shown.
MAKES = {
    "a procedure": ("CALL p()", "temp_table", "CREATE PROCEDURE p() %s" % MAKE),
    "in a branch": ("CALL p()", "temp_table", "CREATE PROCEDURE p() BEGIN IF 1 THEN %s; END IF; SELECT 1; END" % MAKE),
    "a called one": ("CALL q()", "temp_table", "CREATE PROCEDURE p() %s" % MAKE, "CREATE PROCEDURE q() BEGIN DO 1; CALL p(); END"),
    "one that fails": ("CALL p()", "temp_table", "CREATE PROCEDURE p() BEGIN %s; %s; END" % (MAKE, FAILS)),
    "with a variable": ("CALL p()", "unknown", "CREATE PROCEDURE p() BEGIN %s; SET @v = 1; END" % MAKE),
    "prepared inside": ("CALL p()", "unknown", "CREATE PROCEDURE p() BEGIN %s; END" % PREPARED),
    "a function": ("SELECT f()", "temp_table", "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN %s; RETURN 1; END" % MAKE),
    "a procedure's function": ("CALL p()", "temp_table", "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN %s; RETURN 1; END" % MAKE,
                               "CREATE PROCEDURE p() DO f()"),
    "a view's function": ("SELECT n FROM w", "temp_table", "CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN %s; RETURN 1; END" % MAKE,
                          "CREATE VIEW w AS SELECT f() AS n"),
    "a trigger": ("INSERT INTO log VALUES ('x')", "temp_table",
                  "CREATE TRIGGER r AFTER INSERT ON log FOR EACH ROW BEGIN %s; END" % MAKE),
    "a trigger of a procedure's": ("CALL p()", "temp_table", "CREATE TRIGGER r AFTER INSERT ON log FOR EACH ROW BEGIN %s; END" % MAKE,
                                   "CREATE PROCEDURE p() INSERT INTO log VALUES ('x')"),
    "several statements": ("DO 1; CALL p()", "temp_table", "CREATE PROCEDURE p() %s" % MAKE),
}
if KIND == "mariadb":
    MAKES.update({
        "a text": ("CALL p()", "unknown", "CREATE PROCEDURE p() EXECUTE IMMEDIATE '%s'" % MAKE),
        "a loop that is not taken apart": ("CALL p()", "temp_table", "CREATE PROCEDURE p() FOR i IN 1..1 DO %s; END FOR" % MAKE),
        "a block": ("BEGIN NOT ATOMIC %s; END" % MAKE, "unknown"),
    })


@pytest.fixture
def shop(db):
    db.setup("CREATE TABLE log (what TEXT)", "CREATE TABLE strict (id INT PRIMARY KEY)")
    return db


def says(w, sql):
    """As a text."""
    w.query(sql)


def executes(w, sql):
    """Prepared."""
    w.prepare(sql).execute()


@pytest.mark.parametrize("form", [says, executes])
@pytest.mark.parametrize("transaction", [False, True])
@pytest.mark.parametrize("how", MAKES)
def test_what_is_made_inside_is_its_sessions(suimon, shop, how, transaction, form):
    sql, reason, *made = MAKES[how]
    if form is executes and how in ("several statements", "a block"):
        pytest.skip("no server prepares it")
    shop.setup(*made)
    s = suimon(ONE_SERVER)
    schema_is_known(s)
    with contextlib.ExitStack() as stack:
        w = stack.enter_context(Wire(s.connect(database=shop.name, client_flag=MULTI_STATEMENTS)))
        if transaction:
            w.query("BEGIN")
        form(w, sql)
        if transaction:
            w.query("COMMIT")
        assert pinned(s) == [reason]
        for _ in range(2):
            other = stack.enter_context(s.connect(database=shop.name))
            other.begin()
            with pytest.raises(pymysql.ProgrammingError):
                ask(other, "SELECT n FROM tmp")
        assert w.query("SELECT n FROM tmp")[0][0] == 1


KEPT = {
    "what it drops": (None, "BEGIN DROP TEMPORARY TABLE IF EXISTS tmp; %s; SELECT n FROM tmp; DROP TEMPORARY TABLE tmp; END" % MAKE),
    "that of a called one": (None, "BEGIN CALL drops(); END"),
    "what only some turns drop": ("temp_table", "BEGIN %s; IF RAND() > 2 THEN DROP TEMPORARY TABLE tmp; END IF; END" % MAKE),
    "what an error leaves": ("temp_table", "BEGIN %s; %s; DROP TEMPORARY TABLE tmp; END" % (MAKE, FAILS)),
    "what a handled error leaves": ("temp_table", "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION DO 1; %s; %s; DROP TEMPORARY TABLE tmp; END" % (MAKE, FAILS)),
    "what an error of a called one's leaves": ("temp_table", "BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION DO 1; CALL fails(); END"),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_is_dropped_inside_pins_nothing(suimon, shop, what):
    reason, body = KEPT[what]
    shop.setup("CREATE PROCEDURE drops() BEGIN %s; DROP TABLE tmp; END" % MAKE,
               "CREATE PROCEDURE fails() BEGIN %s; %s; DROP TEMPORARY TABLE tmp; END" % (MAKE, FAILS), "CREATE PROCEDURE p() " + body)
    s = suimon(ONE_SERVER)
    schema_is_known(s)
    with Wire(s.connect(database=shop.name)) as w:
        w.query("CALL p()")
        assert pinned(s) == [reason]
        left = w.query("SELECT n FROM tmp")[0][0] == 1
        assert left == (reason is not None)


STATUS_TRANSACTION, STATUS_AUTOCOMMIT, STATE_CHANGED = 1, 2, 0x4000


def changed(status):
    """An OK that says that the state is another one, and not how."""
    return packet(b"\0\0\0" + (status | STATE_CHANGED).to_bytes(2, "little") + b"\0\0" + b"\0" + b"\x03\x02\x01\x31")


def test_a_state_that_the_server_reports_outlasts_the_transaction(suimon, cluster):
    """As MySQL does of a temporary table that a procedure has made."""
    liar = Liar(cluster.primary.port)
    liar.lies["inside"] = changed(STATUS_TRANSACTION | STATUS_AUTOCOMMIT)
    s = suimon(dict(ONE_SERVER, primary=address(liar), backend={"tls": {"mode": "disabled"}}))
    with s.connect() as c:
        c.begin()
        ask(c, "/* lie inside */ DO 1")
        assert pinned(s) == ["transaction"]
        c.commit()
        assert pinned(s) == ["unknown"]
    liar.close()
