#!/usr/bin/python3
"""An application's load on the shop schema, by an ordinary client library, that keeps account of what it was promised.

    deploy/shop_load.py --host 127.0.0.1 --port 6033 --seconds 20

Threads read hot products, change them, show order pages (with an N+1 loop), search orders by a column without an index,
and write an access log. Every acknowledgement goes into a ledger: a product read that began after an acknowledged
update must show it, and every acknowledged log row must be there once.
"""
import argparse
import itertools
import os
import random
import sys
import threading
import time
import uuid

import pymysql

PRODUCTS = 1000
CUSTOMERS = 2000
PRODUCT = "SELECT id, name, price, stock, version FROM products WHERE id = %s"
CATEGORY = "SELECT id, name, price, stock FROM products WHERE category = %s ORDER BY id LIMIT 20"


def create(connection):
    """Makes the shop in the connection's current schema."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shop.sql")) as f:
        text = "\n".join(line for line in f.read().splitlines() if not line.startswith("--"))
    with connection.cursor() as cur:
        for statement in text.split(";"):
            if statement.strip():
                cur.execute(statement)


class Ledger:
    """What was acknowledged, and what did not hold."""

    def __init__(self):
        self.lock = threading.Lock()
        self.versions = {}      # product: acknowledged updates of it; its version is never less
        self.logged = []        # requests whose log row was acknowledged
        self.unsure = []        # requests whose insert failed: there or not, but not twice
        self.stale = []         # texts
        self.errors = []        # texts
        self.statements = 0
        self.checked = 0        # product reads compared with versions

    def updated(self, product):
        with self.lock:
            self.versions[product] = self.versions.get(product, 0) + 1

    def version(self, product):
        return self.versions.get(product, 0)

    def check(self, product, least, seen, where):
        self.checked += 1
        if seen < least:
            with self.lock:
                self.stale.append("product %d: version %d acknowledged, %d read %s" % (product, least, seen, where))

    def error(self, text):
        with self.lock:
            self.errors.append(text)


class Worker(threading.Thread):
    """A thread with a connection of its own that repeats one turn until told to stop."""

    pause = 0.0

    def __init__(self, load, number):
        super().__init__(name="%s %d" % (type(self).__name__.lower(), number), daemon=True)
        self.load = load
        self.ledger = load.ledger
        self.random = random.Random(number * 7919 + 17)
        self.connection = None

    def run(self):
        while not self.load.stopping.is_set():
            try:
                if self.connection is None:
                    self.open()
                self.turn()
            except (pymysql.Error, OSError) as e:
                self.ledger.error("%s: %s" % (self.name, e))
                self.close()
                self.load.stopping.wait(0.2)
            if self.pause:
                self.load.stopping.wait(self.pause)
        self.close()

    def open(self):
        self.connection = self.load.connect()

    def close(self):
        if self.connection is not None:
            try:
                self.connection.close()
            except (pymysql.Error, OSError):
                pass
            self.connection = None

    def query(self, sql, args=None, connection=None):
        with (connection or self.connection).cursor() as cur:
            cur.execute(sql, args)
            self.ledger.statements += 1
            return cur.fetchall()

    def read_product(self, product, where, connection=None):
        least = self.ledger.version(product)
        row = self.query(PRODUCT, (product,), connection)[0]
        self.ledger.check(product, least, row[4], where)

    def turn(self):
        raise NotImplementedError


class Reader(Worker):
    """Hot products and category lists."""

    def turn(self):
        if self.random.random() < 0.1:
            self.query(CATEGORY, (self.random.randrange(20),))
        else:
            self.read_product(self.load.hot(self.random), "by another session")


class Updater(Worker):
    """Changes a hot product, then looks, on this connection and on another."""

    pause = 0.1

    def open(self):
        self.mirror = None
        super().open()
        self.mirror = self.load.connect()

    def close(self):
        if getattr(self, "mirror", None) is not None:
            try:
                self.mirror.close()
            except (pymysql.Error, OSError):
                pass
            self.mirror = None
        super().close()

    def turn(self):
        product = self.load.hot(self.random)
        price = self.random.randrange(100, 9900) / 100
        if self.random.random() < 0.5:
            self.query("UPDATE products SET price = %s, version = version + 1 WHERE id = %s", (price, product))
        else:
            self.connection.begin()
            self.query("SELECT stock FROM products WHERE id = %s FOR UPDATE", (product,))
            self.query("UPDATE products SET stock = stock - 1, version = version + 1 WHERE id = %s", (product,))
            self.connection.commit()
        self.ledger.updated(product)
        self.read_product(product, "by the writing session")
        self.read_product(product, "by another session right after", self.mirror)


class Shopper(Worker):
    """An order page the way an ORM writes it: one query for the orders, then one more for each."""

    pause = 0.02

    def turn(self):
        customer = self.random.randrange(1, CUSTOMERS + 1)
        self.query("SELECT id, name, city FROM customers WHERE id = %s", (customer,))
        orders = self.query("SELECT id, status, total FROM orders WHERE customer_id = %s ORDER BY id DESC LIMIT 12",
                            (customer,))
        for order in orders:
            self.query("SELECT line, product_id, quantity, price FROM order_items WHERE order_id = %s", (order[0],))


class Support(Worker):
    """Looks orders up by a column that has no index."""

    pause = 0.2

    def turn(self):
        email = "customer%d@example.com" % self.random.randrange(1, CUSTOMERS + 1)
        self.query("SELECT id, status, total FROM orders WHERE customer_email = %s", (email,))


class Logger(Worker):
    """Writes the access log."""

    pause = 0.002

    def turn(self):
        request = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        try:
            self.query("INSERT INTO access_log (request, customer_id, path, milliseconds, seen_at) VALUES (%s, %s, %s, %s, NOW(6))",
                       (request, self.random.randrange(1, CUSTOMERS + 1), "/products/%d" % self.load.hot(self.random),
                        self.random.randrange(1, 300)))
        except (pymysql.Error, OSError):
            self.ledger.unsure.append(request)
            raise
        self.ledger.logged.append(request)


class Load:
    """All of it: start, let it run, stop."""

    crew = ((Reader, 3), (Updater, 1), (Shopper, 2), (Support, 1), (Logger, 2))

    def __init__(self, connect):
        """connect: makes a new autocommitting connection with the shop as its schema."""
        self.connect = connect
        self.ledger = Ledger()
        self.stopping = threading.Event()
        self.weights = list(itertools.accumulate(1 / (n + 1) for n in range(PRODUCTS)))
        numbers = itertools.count(1)
        self.workers = [kind(self, next(numbers)) for kind, count in self.crew for _ in range(count)]

    def hot(self, rng):
        """A product, by Zipf's law."""
        return rng.choices(range(1, PRODUCTS + 1), cum_weights=self.weights)[0]

    def start(self):
        for w in self.workers:
            w.start()

    def stop(self):
        """Those that were still at it after 30 s are named as errors."""
        self.stopping.set()
        for w in self.workers:
            if w.ident is not None:
                w.join(30)
            if w.is_alive():
                self.ledger.error("%s: no answer within 30 s" % w.name)


def compare_log(ledger, rows):
    """rows: every (request, count) of the access log. What is wrong, as texts."""
    counts = dict(rows)
    lost = [r for r in ledger.logged if r not in counts]
    twice = [r for r, n in counts.items() if n > 1]
    known = set(ledger.logged) | set(ledger.unsure)
    strange = [r for r in counts if r not in known]
    return ["%d %s, for example %s" % (len(what), text, what[0])
            for what, text in ((lost, "acknowledged log rows are missing"), (twice, "log rows were applied more than once"),
                               (strange, "log rows were never sent")) if what]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6033)
    parser.add_argument("--user", default="app")
    parser.add_argument("--password", default=os.environ.get("SHOP_PASSWORD", "app"))
    parser.add_argument("--schema", default="shop")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--create", action="store_true", help="make the schema's tables first")
    opt = parser.parse_args()

    def connect():
        return pymysql.connect(host=opt.host, port=opt.port, user=opt.user, password=opt.password, database=opt.schema,
                               autocommit=True, charset="utf8mb4")
    if opt.create:
        with connect() as c:
            create(c)
    load = Load(connect)
    load.start()
    time.sleep(opt.seconds)
    load.stop()
    ledger = load.ledger
    print("%d statements, %d reads checked, %d stale, %d errors" % (ledger.statements, ledger.checked, len(ledger.stale),
                                                                    len(ledger.errors)))
    for text in (ledger.stale + ledger.errors)[:10]:
        print(text)
    return 1 if ledger.stale or ledger.errors else 0


if __name__ == "__main__":
    sys.exit(main())
