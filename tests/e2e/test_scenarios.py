"""Applications with known faults: each is found once, with the right table, columns and fix; mended, nothing is found (S3)."""
import json
import os
import re
import subprocess

import pytest

import conftest
import timed
from conftest import ask
from servers import wait_until

pytestmark = conftest.mariadb_only("the applications' tables are made with its sequences")

APPS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apps")
COMMANDS = {"django": ["/usr/bin/python3", os.path.join(APPS, "django_app.py")], "rails": ["ruby", os.path.join(APPS, "rails_app.rb")]}
SCENARIOS = ("n_plus_one", "join_without_index", "function_on_column", "implicit_conversion", "heavy_aggregate", "identical_repeat")

# What each application's faults are found as: kind, table, columns.
FOUND = {
    "django": {
        "n_plus_one": ("n_plus_one", "author", None),
        "join_without_index": ("missing_index", "review", "book_ref"),
        "function_on_column": ("missing_index", "book", "published"),
        "implicit_conversion": ("missing_index", "book", "isbn"),
        "heavy_aggregate": ("heavy_aggregate", "review", None),
        "identical_repeat": ("cacheable", "setting", None),
    },
}
FOUND["rails"] = dict(FOUND["django"], n_plus_one=("n_plus_one", "book", None), function_on_column=("missing_index", "book", "isbn"))


@pytest.fixture
def shop(db):
    with open(os.path.join(APPS, "shop.sql"), encoding="utf-8") as f:
        db.setup(*f.read().split(";"))
    return db


def run(app, instance, shop, scenarios, *more):
    argv = COMMANDS[app] + [str(instance.mysql_port), shop.name, ",".join(scenarios), *more]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True)
    assert done.returncode == 0, done.stdout


def explained(instance, shop, calls=12):
    """Whether the adviser has looked at all that it will look at: the application's own reads without an index."""
    rows = instance.api("/api/queries?limit=1000")["queries"]
    return all(q["rows_examined"] is not None for q in rows
               if q["schema"] == shop.name and q["verb"] == "select" and q["calls"] >= calls and q["no_index"])


def findings(instance, shop):
    wait_until("the adviser", lambda: explained(instance, shop), 40, 0.2)
    return instance.api("/api/findings")["findings"]


def what(finding, shop):
    table = finding["evidence"].get("table") or finding["title"].split()[-1]
    assert table.startswith(shop.name + "."), finding
    return finding["kind"], table[len(shop.name) + 1:], finding["evidence"].get("columns")


def of(found, shop, expected):
    return next(f for f in found if what(f, shop) == expected)


def rows_read(shop):
    """Of all that the servers have read so far row by row."""
    return sum(s.status("Handler_read_rnd_next") for s in (shop.cluster.primary, shop.cluster.replica))


def reads_of(shop, app, instance, scenario):
    before = rows_read(shop)
    run(app, instance, shop, [scenario])
    return rows_read(shop) - before


def statement_reads(connection, sql):
    """The rows, and how many were read row by row for them."""
    before = int(ask(connection, "SHOW SESSION STATUS LIKE 'Handler_read_rnd_next'")[0][1])
    rows = ask(connection, sql)
    return rows, int(ask(connection, "SHOW SESSION STATUS LIKE 'Handler_read_rnd_next'")[0][1]) - before


def bound(sql, value):
    return sql.replace("?", value)


def by_digest(instance, texts):
    """The texts of each digest, in their order."""
    done = subprocess.run([instance.binary, "digest", "-"], input="".join(" ".join(t.split()) + "\n" for t in texts), stdout=subprocess.PIPE,
                          check=True, text=True, timeout=60)
    found = {}
    for text, line in zip(texts, done.stdout.splitlines(), strict=True):
        found.setdefault(json.loads(line)["digest"], []).append(text)
    return found


def value_in(finding, text):
    """What stands where the finding's text has its first question mark."""
    first = re.escape(finding["text"].split("?")[0])
    return re.match(first.replace("\\ ", r"\s+") + r"('[^']*'|[0-9]+)", text, re.I).group(1)


def mended(finding, texts):
    return [bound(finding["fix_sql"].replace("limit ?", "limit 21"), value_in(finding, t)) for t in texts]


def batched(finding, texts):
    """One statement for as many keys as a run of the loop had."""
    runs = finding["evidence"]["occurrences"]
    keys, size = [value_in(finding, t) for t in texts], len(texts) // runs
    return [finding["fix_sql"].replace("?, ?, ...", ", ".join(keys[n:n + size])) for n in range(0, len(keys), size)]


@pytest.fixture
def undisturbed(cluster):
    with timed.undisturbed(cluster.primary, cluster.replica):
        yield


@pytest.mark.parametrize("app", sorted(COMMANDS))
def test_each_fix_saves_the_time_foretold(undisturbed, suimon, shop, tmp_path, app):
    """The application's own statements again, without the fix and with it."""
    s = suimon({"replicas": [], "stats": {"slow": "50ms"}})
    run(app, s, shop, SCENARIOS)
    found = {name: of(findings(s, shop), shop, FOUND[app][name]) for name in SCENARIOS}
    if app == "rails":  # two of one kind, table and column
        both = [f for f in findings(s, shop) if what(f, shop) == FOUND[app]["implicit_conversion"]]
        found["function_on_column"], found["implicit_conversion"] = sorted(both, key=lambda f: "lower(" not in f["text"])
    clocked = suimon({"replicas": [], "stats": timed.every_statement(tmp_path / "clocked.log")})
    run(app, clocked, shop, SCENARIOS)
    texts = by_digest(s, [t for t, _ in timed.logged(timed.log_of(clocked))])
    texts = {name: texts[f["digest"]][:480] for name, f in found.items()}

    def clock(some):
        return timed.run(clocked, shop.name, some)

    for name, fix in (("n_plus_one", batched), ("function_on_column", mended), ("implicit_conversion", mended)):
        fixed = fix(found[name], texts[name])
        timed.judge(found[name], timed.cut(lambda: clock(texts[name]), lambda: clock(fixed)))

    rules = [line for n in ("heavy_aggregate", "identical_repeat") for line in found[n]["fix_config"].splitlines() if line.startswith("    ")]
    cached = suimon({"replicas": [], "cache": {"memory": "16MiB", "rules": pasted(rules)}, "stats": timed.every_statement(tmp_path / "cached.log")})

    def from_nothing(some):
        assert cached.http("/api/cache/flush", data={})[0] == 200
        return timed.run(cached, shop.name, some)

    for name in ("heavy_aggregate", "identical_repeat"):
        timed.judge(found[name], timed.cut(lambda: clock(texts[name]), lambda: from_nothing(texts[name])))

    join = "join_without_index"
    before = [clock(texts[join]) for _ in range(timed.ROUNDS)]
    shop.setup(found[join]["fix_sql"])
    timed.judge(found[join], 1 - timed.least(clock(texts[join]) for _ in range(timed.ROUNDS)) / timed.least(before))


@pytest.mark.parametrize("app", sorted(COMMANDS))
def test_each_fault_is_found_once_and_its_fix_works(suimon, shop, app):
    s = suimon({"stats": {"slow": "50ms"}})
    run(app, s, shop, SCENARIOS)
    found = findings(s, shop)
    assert sorted(map(str, (what(f, shop) for f in found))) == sorted(map(str, FOUND[app].values())), json.dumps(found, indent=1)
    for f in found:
        assert f["cost_seconds"] > 0 and f["fix_text"], f

    # The index of the join, added.
    joined = of(found, shop, FOUND[app]["join_without_index"])
    before = reads_of(shop, app, s, "join_without_index")
    shop.setup(joined["fix_sql"])
    assert reads_of(shop, app, s, "join_without_index") < before / 2

    # The statements mended: the same rows, without reading the table.
    with shop.direct() as c:
        for scenario, value in (("function_on_column", "'2016-02-03'" if app == "django" else "'9780000032'"),
                                ("implicit_conversion", "9780000038")):
            f = next(f for f in found if what(f, shop) == FOUND[app][scenario] and ("concat(?" in f["fix_sql"]) == (value[0] != "'"))
            faulty, read = statement_reads(c, bound(f["text"], value))
            mended, read_then = statement_reads(c, bound(f["fix_sql"], value))
            assert sorted(mended) == sorted(faulty) and faulty, f
            assert read_then < read / 2, f

    # The loop's statement for all keys at once.
    loop = of(found, shop, FOUND[app]["n_plus_one"])
    assert loop["evidence"]["occurrences"] >= 11 and loop["evidence"]["max_repeats"] >= 30, loop
    with shop.direct() as c:
        assert len(ask(c, loop["fix_sql"].replace("?, ?, ...", "3, 4, 5"))) >= 3

    # What is to be cached: with the rules pasted it is.
    configs = [of(found, shop, FOUND[app][n])["fix_config"] for n in ("heavy_aggregate", "identical_repeat")]
    rules = [line for text in configs for line in text.splitlines() if line.startswith("    ")]
    shop.cluster.sync()
    cached = suimon({"cache": {"memory": "16MiB", "rules": pasted(rules)}})
    run(app, cached, shop, ("heavy_aggregate", "identical_repeat"))
    for n in ("heavy_aggregate", "identical_repeat"):
        digest = of(found, shop, FOUND[app][n])["digest"]
        row = cached.api("/api/queries/" + digest)
        assert row["cache_hits"] == row["calls"] - 1, row


def pasted(lines):
    """The rules of fix_config as the test's configuration holds them."""
    rules = []
    for line in lines:
        if "match:" in line:
            rules.append({"match": {"digest": line.split('"')[1]}})
        else:
            key, value = line.split(":")
            rules[-1][key.strip()] = value.strip()
    return rules


@pytest.mark.parametrize("app", sorted(COMMANDS))
def test_nothing_is_found_in_the_mended_application(suimon, shop, app):
    shop.setup("ALTER TABLE review ADD INDEX (book_ref)")
    s = suimon({"stats": {"slow": "50ms"}})
    run(app, s, shop, SCENARIOS, "mended")
    assert not findings(s, shop), json.dumps(s.api("/api/findings"), indent=1)
