"""P1, P3: random conversations about what statements leave behind, errors among them: the same packets as direct.

Left out: FOUND_ROWS() before anything was read, and behind a read that failed after it had begun, which is what that server happened to have found by then.
SUIMON_SEEDS=100-199 runs those seeds; a failure names its seed and the steps up to the first difference."""
import contextlib
import os
import random

import pytest

from test_follow_ups import Noise, execute, fresh
from wire import MULTI_STATEMENTS, Wire

ASKED = ["SELECT FOUND_ROWS()", "SELECT ROW_COUNT()", "SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count, @@error_count", "SELECT LAST_INSERT_ID()",
         "SHOW ERRORS", "SELECT FOUND_ROWS(), ROW_COUNT()", "SHOW COUNT(*) ERRORS", "SELECT @@identity"]
SAID = [
    "SELECT id FROM a WHERE id < %d ORDER BY id", "SELECT id FROM a ORDER BY id LIMIT %d", "SELECT SQL_CALC_FOUND_ROWS id FROM a ORDER BY id LIMIT %d", "SELECT CAST('%dx' AS SIGNED)",
    "SELECT CAST('%dx' AS SIGNED) FROM a WHERE id = 1", "INSERT INTO a (v, n) VALUES ('r', %d)", "UPDATE a SET n = n + 1 WHERE id < %d", "DELETE FROM a WHERE id = %d + 9",
    "INSERT INTO a (id) VALUES (%d)", "INSERT INTO a (v) VALUES ('too long %d')", "INSERT IGNORE INTO a (v, n) VALUES ('too long', %d)", "SELECT none%d FROM a", "SELECT * FROM none%d", "SELEKT %d",
    "DO %d", "SET @x = %d", "UPDATE none%d SET a = 1", "DROP TABLE IF EXISTS none%d", "SELECT 1; SELECT CAST('%dx' AS SIGNED) FROM a WHERE id = 1",
    "SELECT id FROM a WHERE id = 1; SELECT none%d FROM a", "SELECT %d", "SHOW TABLES LIKE 'a%d'", "SET NAMES utf8mb4 /* %d */", "BEGIN /* %d */",
    "COMMIT /* %d */", "ROLLBACK /* %d */", "USE none%d", "SET sql_mode = 'none%d'"]
PREPARED = ["SELECT id FROM a WHERE id < ? ORDER BY id", "UPDATE a SET n = ? WHERE id < 3", "SELECT CAST(CONCAT(?, 'x') AS SIGNED) FROM a WHERE id = 1", "SELECT * FROM none WHERE a = ?",
            "INSERT INTO a (id) VALUES (?)"]


def steps_of(seed, count):
    r = random.Random(seed)
    steps = ["SELECT id FROM a LIMIT 2"]
    for _ in range(count):
        kind = r.random()
        if kind < 0.45:
            steps.append(r.choice(ASKED))
        elif kind < 0.55:
            steps.append((r.choice(PREPARED), r.randint(1, 4)))
        else:
            steps.append(r.choice(SAID) % r.randint(1, 4))
    return steps


def converse(connection, steps, between=lambda: None):
    with Wire(connection) as w:
        for step in steps:
            yield execute(*step)(w) if isinstance(step, tuple) else w.query(step)
            between()


def seeds():
    first, _, last = os.environ.get("SUIMON_SEEDS", "1-3").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("pool", [1, 3, 50])
def test_random_conversations_are_answered_as_direct(suimon, db, pool):
    s = suimon({"threads": 1, "backend": {"pool": {"max": pool, "min_idle": 0}}, "cache": {"rules": [{"match": {"query": "order by id limit"}, "ttl": "1h"}]}})
    for seed in seeds():
        steps = steps_of(seed, 150)
        fresh(db)
        want = list(converse(db.direct(client_flag=MULTI_STATEMENTS), steps))
        fresh(db)
        with contextlib.ExitStack() as stack:
            noise = Noise(s, db, stack, client_flag=MULTI_STATEMENTS if pool > 3 else 0) if pool > 1 else lambda: None  # a transaction holds the only connection
            got = converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), steps, noise)
            for i, (w, g) in enumerate(zip(want, got)):
                assert g == w, "seed %d: %s" % (seed, steps[max(0, i - 8):i + 1])
            got.close()
