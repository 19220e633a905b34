"""C4: a TIME that meets a date becomes one of today. Such an answer is another one tomorrow, though nobody writes anything."""
import datetime

import pymysql
import pytest

from conftest import KIND, ask, hits, mariadb_only
from servers import sum_metric, wait_until
from test_functions import CHANGING, FORMS, NOT_CALLED
from wire import Wire

DAYS = ("2024-02-29 12:00:00", "2026-07-08 12:00:00")
TABLES = [
    "CREATE TABLE t (id INT PRIMARY KEY, tm TIME, dt DATETIME, da DATE, ts TIMESTAMP NULL, n INT, s VARCHAR(40))",
    "INSERT INTO t VALUES (1, '10:00:00', '2025-03-03 11:00:00', '2025-03-03', '2025-03-03 09:00:00', 100, '10:00:00')",
    "CREATE TABLE times (id INT PRIMARY KEY, at TIME)", "INSERT INTO times VALUES (1, '10:00:00')",
    "CREATE TABLE dates (id INT PRIMARY KEY, at DATETIME)", "INSERT INTO dates VALUES (1, '2025-03-03 11:00:00')",
    "CREATE TABLE ev (a INT PRIMARY KEY, `from` DATETIME, `as` DATETIME, `where` DATETIME, `order` DATE, end INT, t TIME)",
    "INSERT INTO ev VALUES (1, '2025-03-03 11:00:00', '2025-03-03 11:00:00', '2025-03-03 11:00:00', '2025-03-03', 1, '10:00:00')",
]
# Through a view's, a routine's or a column's text.
DEFINED = [
    "CREATE VIEW renamed AS SELECT id, tm AS a, dt AS b FROM t",
    "CREATE VIEW inside AS SELECT id, tm < dt AS x FROM t",
    "CREATE FUNCTION moment(x DATETIME) RETURNS VARCHAR(40) DETERMINISTIC RETURN CONCAT(x)",
    "CREATE FUNCTION clock() RETURNS TIME DETERMINISTIC RETURN '10:00:00'",
    "CREATE FUNCTION later(x TIME) RETURNS VARCHAR(40) DETERMINISTIC BEGIN DECLARE d DATETIME(6) DEFAULT x; RETURN d; END",
    "CREATE FUNCTION earlier(x INT) RETURNS INT RETURN (SELECT tm < dt FROM t WHERE id = x)",
]

HANGS = """
tm < dt | dt > tm | tm < da | tm <= ts | tm BETWEEN ts AND dt | dt BETWEEN tm AND '2027-01-01' | (tm, 1) < (dt, 1) | CAST(tm AS DATETIME) | CAST(tm AS DATE)
CONVERT(tm, DATETIME) | TIMESTAMP(tm) | DATE(tm) | `tm` < `dt` | t.tm < t.dt | TM < DT | COALESCE(tm, dt) | IF(id = 1, tm, dt) | IFNULL(tm, da)
CASE id WHEN 1 THEN tm ELSE dt END | CASE WHEN id = 1 AND n > 1 THEN tm WHEN n = 1 AND id = 2 THEN dt END | GREATEST(tm, dt) | LEAST(tm, ts) | NVL(tm, dt)
TIME(dt) < dt | SEC_TO_TIME(n) < dt | MAKETIME(1, 1, 1) < dt | TIME'10:00:00' < dt | {t '10:00:00'} < dt | CAST(s AS TIME) < dt | STR_TO_DATE('10', '%H') < dt
TIMESTAMP'2025-01-01 00:00:00' > tm | {d '2025-01-01'} > tm | {ts '2025-01-01 00:00:00'} > tm | MAX(tm) < MAX(dt) | YEAR(tm) | MONTH(tm) | DAYNAME(tm) | LAST_DAY(tm)
UNIX_TIMESTAMP(tm) | TO_DAYS(tm) | WEEK(tm) | DATEDIFF(tm, dt) | TIMESTAMPDIFF(SECOND, tm, dt) | CONVERT_TZ(tm, '+00:00', '+02:00') | moment(tm) | clock() < dt
earlier(id) | later(tm) | DATE_FORMAT(CAST(tm AS DATETIME), '%Y') | /*!50001 tm < dt */
"""
HANGS = ["SELECT %s FROM t" % e.strip() for line in HANGS.strip().split("\n") for e in line.split("|")] + [
    "SELECT tm FROM t UNION ALL SELECT dt FROM t", "SELECT * FROM times UNION SELECT * FROM dates", "SELECT 1 FROM times NATURAL JOIN dates",
    "SELECT COUNT(*) FROM times JOIN dates USING (id, at)", "SELECT COUNT(*) FROM times LEFT JOIN dates ON times.id = dates.id AND times.at < dates.at WHERE dates.id > 0",
    "SELECT id FROM t HAVING MIN(tm) < MIN(dt)", "SELECT tm AS a, dt AS b FROM t HAVING a < b", "SELECT tm AS a, dt AS b FROM t ORDER BY a < b, GREATEST(a, b)",
    "SELECT id FROM t WHERE n > 0 AND dt > tm", "SELECT a < b FROM renamed", "SELECT x FROM inside", "SELECT a < b FROM (SELECT tm AS a, dt AS b FROM t) d",
    "WITH c (a, b) AS (SELECT at, (SELECT at FROM dates) FROM times) SELECT a < b FROM c", "SELECT (SELECT MAX(at) FROM dates) > at FROM times",
    "SELECT COUNT(*) FROM dates WHERE at > ANY (SELECT at FROM times)", "SELECT a < b FROM (SELECT * FROM t) d JOIN renamed USING (id)",
    # Behind a dot a word that is reserved is a column.
    "SELECT ev.from < ev.t FROM ev", "SELECT x.a FROM ev x JOIN ev y ON x.from < y.t", "SELECT a FROM ev WHERE `from` < t", "SELECT ev.t > ev.as FROM ev",
    "SELECT ev.as < ev.t FROM ev", "SELECT ev.where < ev.t FROM ev", "SELECT a FROM ev WHERE ev.order > ev.t",
    "SELECT CASE WHEN ev.end = 2 AND a = 1 THEN `from` WHEN end = 1 AND a = 1 THEN t ELSE `from` END > '2026-01-01' FROM ev",
    "SELECT `from` < PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY t) OVER () FROM ev",
    # What this server does not read divides nothing.
    "SELECT tm < /*!99999 1 AND 2 < */ dt FROM t", "SELECT tm < /*!99999 1, */ dt FROM t",
]

STAYS = """
* | tm, dt, da, ts | t.* | tm AS dt, dt AS tm | TIME(dt) | CAST(dt AS TIME) | HOUR(tm), DATE(dt) | TIMEDIFF(dt, ts) | TIME_FORMAT(tm, '%H:%i'), DATE_FORMAT(dt, '%Y')
SEC_TO_TIME(TIMESTAMPDIFF(SECOND, ts, dt)) | COUNT(*), MAX(dt) | ADDTIME(tm, '1:00') | CASE WHEN dt > '2020-01-01' AND n = 1 THEN 1 END, tm
"""
STAYS = ["SELECT %s FROM t" % e.strip() for line in STAYS.strip().split("\n") for e in line.split("|")] + [
    "SELECT * FROM t WHERE tm > '09:00:00' AND dt > '2020-01-01'", "SELECT id FROM t WHERE dt BETWEEN '2020-01-01' AND '2030-01-01' AND tm IS NOT NULL",
    "SELECT tm, dt FROM t WHERE id = 1 ORDER BY tm, dt DESC LIMIT 10", "SELECT tm, COUNT(*) FROM t WHERE DATE(dt) = '2025-03-03' GROUP BY tm HAVING COUNT(*) > 0",
    "SELECT id FROM t WHERE TIME(dt) > '10:00' AND tm < '11:00'", "SELECT a, b FROM renamed", "SELECT t.tm, d.at FROM t JOIN dates d ON d.id = t.id WHERE d.at > t.dt",
    "SELECT moment(dt), tm FROM t", "SELECT tm FROM t UNION SELECT at FROM times", "SELECT id FROM t WHERE dt > (SELECT MIN(at) FROM dates)",
    "SELECT ev.from, ev.t FROM ev WHERE ev.from > '2020-01-01' AND ev.t > '09:00:00' ORDER BY ev.as, ev.t",
    "SELECT CASE WHEN ev.end = 1 AND a = 1 THEN t END, ev.order FROM ev",
]


@pytest.fixture
def kept(suimon, db):
    db.setup(*TABLES, *DEFINED)
    return suimon({"cache": {"rules": [{"match": {"schema": db.name}, "ttl": "600s"}]}})


def is_kept(s, c, sql):
    before = hits(s)
    for _ in range(3):
        ask(c, sql)
    return hits(s) > before


def is_known(c, sql):
    """Its functions are this kind of server's."""
    try:
        ask(c, sql)
    except pymysql.MySQLError:
        return False
    return True


def answers(c, sql):
    """On each day, or None where it is an error or has a warning: that would not be stored."""
    got = []
    for day in DAYS:
        ask(c, "SET time_zone = '+00:00', timestamp = UNIX_TIMESTAMP('%s')" % day)
        try:
            got.append(ask(c, sql))
        except pymysql.MySQLError:
            return None
        if ask(c, "SHOW COUNT(*) WARNINGS")[0][0]:
            return None
    return got


def test_what_hangs_on_the_day_is_not_kept(kept, db):
    with db.direct() as direct, kept.connect(database=db.name) as c:
        wait_until("a hit", lambda: is_kept(kept, c, "SELECT id FROM t"), 10)
        hangs = [sql for sql in HANGS if is_known(direct, sql)]
        assert hangs == HANGS if KIND == "mariadb" else len(hangs) > 0.8 * len(HANGS)
        differ = [sql for sql in hangs if (got := answers(direct, sql)) and got[0] != got[1]]
        assert len(differ) > len(hangs) / 2, "the servers take a TIME for one of today"
        refused = sum_metric(kept.metrics(), 'suimon_cache_refused_total', 'reason="today"')
        assert [sql for sql in hangs if is_kept(kept, c, sql)] == []
        assert sum_metric(kept.metrics(), 'suimon_cache_refused_total', 'reason="today"') > refused + len(hangs)


def test_times_and_dates_side_by_side_are_kept(kept, db):
    with db.direct() as direct, kept.connect(database=db.name) as c:
        wait_until("a hit", lambda: is_kept(kept, c, "SELECT id FROM t"), 10)
        assert [sql for sql in STAYS if len(set(map(repr, answers(direct, sql)))) != 1] == []
        assert [sql for sql in STAYS if not is_kept(kept, c, sql)] == []


ARGUMENTS = ["tm", "tm, tm", "tm, dt", "dt, tm", "tm, da", "tm, 1", "1, tm", "1, tm, dt", "tm, dt, dt", "dt, tm, tm", "tm, '%Y %H'", "tm, '+00:00', '+02:00'", "s, '%H:%i:%s'"]


@mariadb_only("it lists its functions")
def test_no_function_makes_a_time_one_of_today_unseen(kept, db):
    """Each function of the server's, of a TIME alone and with a date: where the day changes the answer, it is not kept."""
    names = {row[0].upper() for row in db.primary("SELECT FUNCTION FROM information_schema.SQL_FUNCTIONS")}
    found = []
    with db.direct() as direct, kept.connect(database=db.name) as c:
        wait_until("a hit", lambda: is_kept(kept, c, "SELECT id FROM t"), 10)
        for name in sorted(names - CHANGING - NOT_CALLED - set(FORMS)):
            for arguments in ARGUMENTS:
                for form in ("SELECT %s(%s) FROM t", "SELECT %s(%s) < dt FROM t"):
                    sql = form % (name, arguments)
                    got = answers(direct, sql)
                    if got and got[0] != got[1]:
                        found.append(sql)
        assert len(found) > 60
        assert [sql for sql in found if is_kept(kept, c, sql)] == []


def is_kept_bound(s, w, sql, *values):
    before = hits(s)
    statement = w.prepare(sql)
    for _ in range(3):
        statement.execute(values)
    statement.close()
    return hits(s) > before


@pytest.mark.parametrize("sql,value,stays", [
    ("SELECT id FROM t WHERE tm < ?", datetime.datetime(2025, 3, 3, 9), False), ("SELECT id FROM t WHERE tm < ?", datetime.timedelta(hours=9), True),
    ("SELECT id FROM t WHERE dt < ?", datetime.timedelta(hours=9), False), ("SELECT id FROM t WHERE dt < ?", datetime.datetime(2025, 3, 3, 9), True),
    ("SELECT tm, dt FROM t WHERE id = ?", 1, True)])
def test_values_that_are_bound_meet_columns(kept, db, sql, value, stays):
    with Wire(kept.connect(database=db.name)) as w:
        wait_until("a hit", lambda: is_kept_bound(kept, w, "SELECT id FROM t WHERE id = ?", 1), 10)
        assert is_kept_bound(kept, w, sql, value) == stays


@pytest.mark.parametrize("text,bound,values,stays", [
    ("SELECT id FROM t WHERE dt < '2030-03-03 09:00:00'", "SELECT id FROM t WHERE dt < ?", [datetime.timedelta(hours=9)], False),
    ("SELECT id FROM t WHERE dt < NULL", "SELECT id FROM t WHERE dt < ?", [datetime.timedelta(hours=9)], False),
    ("SELECT id FROM t WHERE tm < '09:00:00'", "SELECT id FROM t WHERE tm < ?", [datetime.datetime(2030, 3, 3, 9)], False),
    ("SELECT id FROM t WHERE s = '10:00:00' OR '' IN ('x')", "SELECT id FROM t WHERE s = ? OR ? IN (?)",
     ["x", datetime.timedelta(hours=9), datetime.datetime(2030, 3, 3, 9)], False),
    ("SELECT id FROM t WHERE dt < ?", "SELECT id FROM t WHERE dt < ?", [datetime.datetime(2030, 3, 3, 9)], True),
    ("SELECT id FROM t WHERE dt < ? AND tm < ?", "SELECT id FROM t WHERE dt < '2030-03-03' AND tm < ?", [datetime.timedelta(hours=11)], True)])
def test_a_text_of_the_same_digest_came_first(kept, db, text, bound, values, stays):
    """What is known of a text is kept by its digest, and of its placeholders nothing is known by another text's."""
    with Wire(kept.connect(database=db.name)) as w:
        wait_until("a hit", lambda: is_kept_bound(kept, w, "SELECT id FROM t WHERE id = ?", 1), 10)
        for _ in range(2):
            if "?" in text:
                w.prepare(text)
            else:
                w.query(text)
        assert is_kept_bound(kept, w, bound, *values) == stays


def test_a_column_that_changes_its_type(kept, db):
    read = "SELECT at < '2025-01-01', at < dt FROM dates JOIN t USING (id)"
    with kept.connect(database=db.name) as c:
        wait_until("a hit", lambda: is_kept(kept, c, read), 10)
        ask(c, "ALTER TABLE dates MODIFY at TIME")
        wait_until("the schema", lambda: is_kept(kept, c, "SELECT id FROM dates"), 10)
        assert not is_kept(kept, c, read)
