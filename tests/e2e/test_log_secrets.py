"""No secret of the configuration, of a client or of a statement is in the log, at its most talkative, nor in what HTTP and check say. Nor is
a value of a statement, but with stats.samples on where HTTP shows values to who may see them."""
import json
import signal
import subprocess

import pymysql
import pytest

from conftest import ask, merge, schema_is_known
import servers

SECRETS = {"MONITOR": "Zq7-monitor-secret", "QUEUE": "Zq7-queue-secret", "LISTED": "Zq7-listed-secret", "TOKEN": "Zq7-token-secret",
           "REDIS": "Zq7-redis-secret", "COLLECTOR": "Zq7-collector-secret"}
CLIENTS = "Zq7-clients-secret"
LITERAL = "zq7-literal-secret" # in lower case, as a normalised text is
IN_STATEMENTS = "Zq7-password-in-a-statement"
PAGES = ("/metrics", "/api/config", "/api/backends", "/api/clients", "/api/queries", "/api/findings", "/api/cache", "/api/queue",
         "/api/queue/pending", "/api/queue/dead", "/api/overview", "/api/costs", "/readyz", "/")


@pytest.fixture
def accounts(cluster):
    """Accounts with the secrets for passwords."""
    made = {"z_monitor": SECRETS["MONITOR"], "z_queue": SECRETS["QUEUE"], "z_listed": SECRETS["LISTED"], "z_client": CLIENTS}
    for name, password in made.items():
        cluster.primary.sql("DROP USER IF EXISTS %s@'%%'" % name, "CREATE USER %s@'%%' IDENTIFIED BY '%s'" % (name, password),
                            "GRANT ALL ON *.* TO %s@'%%'" % name)
    cluster.sync()
    yield
    for name in made:
        cluster.primary.sql("DROP USER %s@'%%'" % name)
    cluster.sync()


def configured(db, log, samples):
    return {"backend": {"monitor": {"user": "z_monitor", "password": "${MONITOR}"}},
            "users": [{"name": "z_listed", "password": "${LISTED}"}, {"passthrough": True}],
            "admin_token": "${TOKEN}", "log": log, "stats": {"samples": samples, "slow": "1ms", "slow_log": "",
                      "otlp": {"url": "http://127.0.0.1:1/v1/traces?of=me&api_key=${COLLECTOR}", "share": 1}},
            "cache": {"redis": "redis://u:${REDIS}@127.0.0.1:%d/0" % servers.free_port(), "rules": [{"match": {"schema": db.name}, "ttl": "1m"}]},
            "queue": {"user": {"name": "z_queue", "password": "${QUEUE}"}, "rules": [{"match": {"table": "%s.log" % db.name}}]}}


PASSWORDS = ("CREATE USER z_made@'%%' IDENTIFIED BY '%s'", "ALTER USER z_made@'%%' IDENTIFIED BY '%s'", "DROP USER z_made@'%%'",
             "SET PASSWORD FOR nobody@'%%' = '%s'", "SET PASSWORD FOR nobody@'%%' = PASSWORD('%s')", "GRANT USAGE ON *.* TO z_none@'%%' IDENTIFIED BY '%s'",
             "CHANGE MASTER 'nobody' TO MASTER_PASSWORD = '%s'", "CREATE SERVER z_s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD '%s')", "DROP SERVER IF EXISTS z_s",
             "PREPARE z FROM 'CREATE USER z_made IDENTIFIED BY \"%s\"'", "EXECUTE IMMEDIATE 'ALTER USER z_made IDENTIFIED BY \"%s\"'",
             "BEGIN NOT ATOMIC ALTER USER z_made IDENTIFIED BY '%s'; END", "GRNT USAGE ON *.* TO z_none IDENTIFIED BY '%s'",
             "SELECT 1; PREPARE z FROM 'SET PASSWORD = \"%s\"'", "UPDATE mysql.user SET authentication_string = '%s' WHERE user = 'z_none'",
             "CREATE PROCEDURE z_p() ALTER USER z_made IDENTIFIED BY '%s'", "ALTER SERVER z_s OPTIONS (PASSWORD '%s')",
             "CREATE TABLE z_f (a INT) ENGINE=FEDERATED CONNECTION='mysql://z:%s@127.0.0.1:1/a/b'", "EXPLAIN CREATE USER z IDENTIFIED BY '%s'")


def use(s, db):
    """What goes right, and what goes wrong."""
    for user, password in (("z_listed", SECRETS["LISTED"]), ("z_client", CLIENTS)):
        with s.connect(user, password, database=db.name) as c:
            for sql in ("INSERT INTO log VALUES ('%s')", "INSERT INTO log VALUES ('%s')", "INSERT INTO t VALUES ('%s')",
                        "SELECT * FROM t WHERE t = '%s'", "SELECT SLEEP(0.01), '%s'", "SELECT nonsense FROM '%s", "INSERT INTO t VALUES ('O'Brien', '%s')",
                        "INSERT INTO t VALUES ('O'Brien', '%s', 'it's')", "SELECT 1; INSERT INTO t VALUES ('O'Brien %s', 'it's')",
                        "SELECT * FROM missing WHERE a = '%s'"):
                attempt(c, sql % LITERAL)
            for sql in PASSWORDS:
                attempt(c, sql.replace("%%", "%").replace("%s", IN_STATEMENTS))
    for user, password in (("z_listed", CLIENTS), ("z_client", SECRETS["LISTED"]), ("nobody", CLIENTS)):
        with pytest.raises(pymysql.MySQLError):
            s.connect(user, password)


def attempt(c, sql):
    try:
        ask(c, sql)
    except pymysql.MySQLError:
        pass


# Where the values of statements may be read while stats.samples is on, on loopback or with the token.
VALUES_IN = ("/api/queue/dead", "/api/queue/pending")


def is_for_values(where):
    return where in VALUES_IN or where.startswith("/api/queries/")


@pytest.mark.parametrize("samples", [False, True], ids=["no_samples", "samples"])
@pytest.mark.parametrize("log", ["text", "json"])
def test_nothing_tells_a_secret(suimon, db, accounts, log, samples):
    db.setup("CREATE TABLE log (t VARCHAR(99) UNIQUE)", "CREATE TABLE t (t VARCHAR(99))")
    s = suimon(configured(db, log, samples), run=False)
    s.process.env.update(SECRETS)
    s.process.env["SUIMON_DEBUG"] = "1"
    s.start(ready=True)
    schema_is_known(s)
    use(s, db)
    servers.wait_until("spans to be lost", lambda: "spans were not taken" in s.log_text(), 60)
    assert s.api("/api/config", headers={"Authorization": "Bearer " + SECRETS["TOKEN"]})["config"]["stats"]["otlp"]["url"].endswith("?of=***&api_key=***")
    servers.wait_until("a dead letter", lambda: s.metrics()["suimon_queue_dead_letters"] > 0, 60)  # its error names a value
    said = {page: s.http(page)[1] for page in (*PAGES, *("/api/queries/" + q["digest"] for q in servers.listing(s.api("/api/queries?limit=1000"))))}
    said["wrong token"] = s.http("/api/cache/flush", data={}, headers={"Authorization": "Bearer " + CLIENTS})[1]
    # A reload with faults at the very keys that hold secrets.
    broken = merge(s.config, {"queue": {"user": {"name": ""}}, "cache": {"redis": "redis:/u:${REDIS}@here"}, "threads": "${TOKEN}"})
    s.write(broken)
    s.process.signal(signal.SIGHUP)
    servers.wait_until("the reload to be refused", lambda: s.metrics()['suimon_config_reloads_total{result="error"}'] == 1, 30)
    for what in ("check", None):
        argv = [s.binary, *([what] if what else []), "-c", s.file]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=s.process.env)
        assert done.returncode == 1
        said["start" if what is None else what] = done.stdout + done.stderr
    said["log"] = s.log_text()
    lines = said["log"].splitlines()
    assert len(lines) > 20 and "session" in said["log"] and any("DEBUG" in line[:60].upper() for line in lines)
    assert log == "text" or [json.loads(line) for line in lines]
    assert samples == any(LITERAL in text for text in said.values())  # what is looked for would be found
    for where, text in said.items():
        for secret in (*SECRETS.values(), CLIENTS, IN_STATEMENTS, *(() if samples and is_for_values(where) else (LITERAL,))):
            assert secret not in text, "%s tells %s: …%s…" % (where, secret, text[max(0, text.find(secret) - 200):][:400])
