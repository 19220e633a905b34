"""The quickstart behind deploy/quickstart: servers, suimon, a shop's load, and with --check the proof that all held.

Flow: run → Stage (servers, schema, suimon) → Load → line every few seconds → with --check: verify → everything is ended
in the reverse order, by process id.
"""
import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time

import servers
import shop_load
from servers import listing, quantile, sum_metric

SCHEMA = "shop"
LINE_EVERY = 3.0
# Selects whose rows through suimon must be those of a direct connection once nothing is written any more.
SAME_ROWS = (
    "SELECT * FROM customers ORDER BY id LIMIT 300",
    "SELECT * FROM products ORDER BY id",
    "SELECT id, name, price, stock, version FROM products WHERE id = 1",
    "SELECT category, COUNT(*), SUM(stock), MIN(price), AVG(price) FROM products GROUP BY category ORDER BY category",
    "SELECT p.name, SUM(i.quantity) q FROM order_items i JOIN products p ON p.id = i.product_id WHERE i.order_id < 300"
    " GROUP BY p.id ORDER BY q DESC, p.id LIMIT 20",
    "SELECT o.id, o.total, c.name, c.city FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.city = 'Łódź'"
    " ORDER BY o.id LIMIT 50",
    "SELECT id, placed_at, status FROM orders WHERE placed_at BETWEEN '2024-01-02' AND '2024-01-03' ORDER BY id",
    "SELECT * FROM products WHERE name IN (SELECT name FROM products WHERE id < 5) UNION ALL SELECT * FROM products WHERE id = 900",
    "SELECT * FROM orders WHERE id = -1",
    "SELECT COUNT(*), COUNT(DISTINCT request), MIN(customer_id), MAX(milliseconds) FROM access_log",
)


class Interrupted(Exception):
    pass


def interrupt(number, frame):
    # Once: what comes after it is tidying up, which a second Ctrl-C must not cut short.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted()


def say(text):
    print(text, flush=True)


def config(primary, replica, redis, directory):
    return {
        "primary": "%s:%d" % (servers.LOOPBACK, primary.port),
        "replicas": ["%s:%d" % (servers.LOOPBACK, replica.port)],
        "backend": {"monitor": {"user": "monitor", "password": "monitor", "interval": "500ms"}},
        "users": [{"name": "app", "password": "app"}, {"passthrough": True}],
        "cache": {"redis": redis.url, "rules": [{"match": {"table": "shop.products"}, "ttl": "60s"}]},
        "queue": {
            "dir": os.path.join(directory, "queue"),
            "user": {"name": "suimon_queue", "password": "suimon_queue"},
            "rules": [{"match": {"table": "shop.access_log", "verb": "insert"}, "order": "table"}],
        },
    }


class Stage:
    """The servers and suimon, on the ports that the documentation names where these are free."""

    def __init__(self, directory, binary, stack):
        say("starting a MariaDB primary, its replica and Redis in %s" % directory)
        self.primary, self.replica = servers.pair(directory, [SCHEMA])
        stack.callback(self.replica.stop)
        stack.callback(self.primary.stop)
        redis = servers.Redis(directory)
        stack.callback(redis.stop)
        redis.start()
        with self.primary.root(database=SCHEMA) as c:
            shop_load.create(c)
        self.replica.catch_up(self.primary)
        os.mkdir(os.path.join(directory, "queue"))
        self.suimon = servers.Suimon(directory, config(self.primary, self.replica, redis, directory), binary=binary,
                                     mysql_port=6033, http_port=6034)
        stack.callback(self.suimon.stop)
        self.suimon.start()

    def connect(self):
        return self.suimon.connect(database=SCHEMA)

    def direct(self):
        return self.primary.connect("app", "app", database=SCHEMA, charset="utf8mb4")

    def invite(self):
        say("")
        say("  DSN        mysql://app:app@%s:%d/%s   (also guest:guest, a pass-through account)" %
            (servers.LOOPBACK, self.suimon.mysql_port, SCHEMA))
        say("  dashboard  %s/" % self.suimon.url)
        say("  config     %s" % self.suimon.file)
        say("")


class Watch:
    """One line of what suimon did since the line before, from /metrics and /api."""

    def __init__(self, suimon):
        self.suimon = suimon
        self.start = self.then = time.monotonic()
        self.before = suimon.metrics()

    def line(self):
        now, after = time.monotonic(), self.suimon.metrics()

        def grown(name, *labels):
            return sum_metric(after, name, *labels) - sum_metric(self.before, name, *labels)
        routes = {r: grown("suimon_queries_total", 'route="%s"' % r) for r in ("replica", "primary", "cache", "queue")}
        total = sum(routes.values())
        hits, misses = grown("suimon_cache_hits_total"), grown("suimon_cache_misses_total")
        p99 = quantile(self.before, after, "suimon_query_duration_seconds", 0.99)
        text = "%4.0f s %6.0f queries/s  %s  cache hits %.0f %%  queue depth %d  p99 < %.3g ms  findings %d" % (
            now - self.start, total / max(now - self.then, 1e-3),
            "  ".join("%s %.0f %%" % (r, 100 * n / max(total, 1)) for r, n in routes.items()),
            100 * hits / max(hits + misses, 1), self.suimon.api("/api/queue")["depth"],
            1e3 * p99, len(listing(self.suimon.api("/api/findings"))))
        self.before, self.then = after, now
        return text



class Checks:
    """What --check says: one line each, and whether all held."""

    def __init__(self):
        self.failed = 0

    def expect(self, holds, text):
        say("  %s  %s" % ("ok  " if holds else "FAIL", text))
        self.failed += 0 if holds else 1


def drained(suimon):
    return suimon.api("/api/queue")["depth"] == 0


def verify(stage, load):
    checks, ledger, suimon = Checks(), load.ledger, stage.suimon
    say("\nchecking")
    servers.wait_until("the queue to drain", lambda: drained(suimon), 60)
    stage.replica.catch_up(stage.primary)
    for text in ledger.errors[:5] + ledger.stale[:5]:
        say("        %s" % text)
    checks.expect(not ledger.errors, "%d statements, %d errors" % (ledger.statements, len(ledger.errors)))
    checks.expect(not ledger.stale and ledger.checked > 0,
                  "%d reads compared with acknowledged updates, %d stale" % (ledger.checked, len(ledger.stale)))
    verify_log(stage, ledger, checks)
    verify_rows(stage, checks)
    metrics = suimon.metrics()
    for name, labels, what in (("suimon_cache_hits_total", (), "answers from the cache"),
                               ("suimon_queries_total", ('route="replica"',), "reads from the replica"),
                               ("suimon_queue_acknowledged_total", (), "writes acknowledged by the queue")):
        n = sum_metric(metrics, name, *labels)
        checks.expect(n > 0, "%d %s" % (n, what))
    verify_findings(suimon, checks)
    say("\n%s" % ("all held" if not checks.failed else "%d checks failed" % checks.failed))
    return checks.failed == 0


def verify_log(stage, ledger, checks):
    with stage.direct() as c, c.cursor() as cur:
        cur.execute("SELECT request, COUNT(*) FROM access_log GROUP BY request")
        wrong = shop_load.compare_log(ledger, cur.fetchall())
    checks.expect(not wrong and bool(ledger.logged), "%d acknowledged log rows, each applied once%s" %
                  (len(ledger.logged), "".join("; " + w for w in wrong)))


def verify_rows(stage, checks):
    differ = []
    with stage.direct() as direct, stage.connect() as through:
        for sql in SAME_ROWS:
            with direct.cursor() as a, through.cursor() as b:
                a.execute(sql)
                want = (a.description, a.fetchall())
                for _ in range(3):  # the later ones may come from the cache
                    b.execute(sql)
                    if (b.description, b.fetchall()) != want:
                        differ.append(sql)
                        break
    checks.expect(not differ, "%d selects give the rows of a direct connection%s" %
                  (len(SAME_ROWS), "".join("\n        differs: " + sql for sql in differ)))


def verify_findings(suimon, checks):
    # The adviser explains a statement a second: give it the time.
    def found(kind, word):
        return [f for f in listing(suimon.api("/api/findings")) if f["kind"] == kind and word in str(f)]
    for kind, word, text in (("n_plus_one", "order_items", "the N+1 loop over order_items"),
                             ("missing_index", "customer_email", "the missing index on orders.customer_email")):
        try:
            rows = servers.wait_until(text, lambda: found(kind, word), 10, 0.2)
        except servers.ServerError:
            rows = []
        checks.expect(bool(rows), "%s is found" % text)


def watch(stage, load, seconds):
    """Prints lines until seconds have passed; None: until interrupted."""
    lines = Watch(stage.suimon)
    end = None if seconds is None else time.monotonic() + seconds
    while end is None or time.monotonic() < end:
        time.sleep(LINE_EVERY if end is None else max(0, min(LINE_EVERY, end - time.monotonic())))
        if not stage.suimon.process.alive():
            raise servers.ServerError("suimon ended\n" + servers.tail(stage.suimon.log))
        say(lines.line())


def run(opt):
    """With servers of its own. The exit code."""
    seconds = opt.seconds if opt.seconds is not None else (20 if opt.check else None)
    directory = tempfile.mkdtemp(prefix="suimon-quickstart-")
    passed = True
    with contextlib.ExitStack() as stack:
        stack.callback(tidy, directory, opt.keep)
        try:
            stage = Stage(directory, opt.binary, stack)
            stage.invite()
            load = shop_load.Load(stage.connect)
            stack.callback(load.stop)
            load.start()
            watch(stage, load, seconds)
            if opt.check:
                load.stop()
                passed = verify(stage, load)
        except Interrupted:
            say("\nstopping")
            passed = not opt.check
    return 0 if passed else 1


def tidy(directory, keep):
    if keep:
        say("left in place: %s" % directory)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def front(opt):
    """Only suimon, in front of a server of the user's: this process becomes it."""
    argv = [opt.binary, "--primary", opt.primary]
    if opt.config:
        argv += ["-c", opt.config]
    say("running: %s" % " ".join(argv))
    os.execv(opt.binary, argv)


def main():
    parser = argparse.ArgumentParser(prog="deploy/quickstart")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--primary")
    parser.add_argument("-c", "--config")
    parser.add_argument("--binary", default=None)
    opt = parser.parse_args()
    opt.binary = opt.binary or servers.find_suimon()
    if opt.primary:
        front(opt)
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return run(opt)
    except servers.ServerError as e:
        print("deploy/quickstart: %s" % e, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
