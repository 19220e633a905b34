"""The live view in a real browser: figures move, a finding leads to its statement, its fix is copied, everybody can use it."""
import os
import re
import signal
import threading

import pytest

from browser import Browser
from conftest import ask, merge, numbers, settle
from servers import wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = os.path.join(TOP, "build", "node", "node_modules")
AXE = os.path.join(PACKAGES, "axe-core", "axe.min.js")
MOST_BYTES = 200 * 1024


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    b = Browser(str(tmp_path_factory.mktemp("browser")))
    yield b
    b.close()


@pytest.fixture
def browser(chromium):
    """It leaves the test's page before the instance behind that goes (so it stands behind suimon among a test's fixtures): what asks
    an instance that is gone complains, and maybe only in the next test."""
    chromium.problems.clear()
    yield chromium
    chromium.open("about:blank")


@pytest.fixture
def busy(suimon, db):
    """An instance under load that has an N+1 in it and a missing index."""
    db.setup("CREATE TABLE orders (id INT PRIMARY KEY, customer INT, email VARCHAR(60), KEY (customer))",
             "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(40))",
             "INSERT INTO orders SELECT seq, 1 + seq %% 200, CONCAT('c', seq %% 500, '@example.com') FROM %s" % numbers(1, 5000),
             "INSERT INTO customers SELECT seq, CONCAT('customer ', seq) FROM " + numbers(1, 200), "ANALYZE TABLE orders, customers")
    s = suimon({"stats": {"cost_per_hour": 3.5}, "cache": {"memory": "8MiB", "rules": [{"match": {"table": "customers"}, "ttl": "60s"}]}})
    stop = threading.Event()

    def load():
        with s.connect(database=db.name) as c:
            n = 0
            while not stop.wait(.02):
                n += 1
                for (customer,) in ask(c, "SELECT customer FROM orders WHERE id BETWEEN %d AND %d" % (n % 200 + 1, n % 200 + 20)):
                    ask(c, "SELECT name FROM customers WHERE id = %d" % customer)
                ask(c, "SELECT id FROM orders WHERE email = 'c%d@example.com' /*route='%%2Fsearch'*/" % (n % 500))
                for key in range(3):  # worth a rule
                    ask(c, "SELECT email FROM orders WHERE id = %d /*route='%%2Forders'*/" % key)

    thread = threading.Thread(target=load)
    thread.start()
    yield s
    stop.set()
    thread.join()


def violations(browser):
    """What axe-core finds, in words."""
    return browser.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => "
                       "v.id + ': ' + v.nodes.map(n => n.target.join(' ') + ' ' + n.failureSummary).join('; ')))")


def test_the_live_view(busy, browser, tmp_path):
    wait_until("findings", lambda: len(busy.api("/api/findings")["findings"]) >= 2, 60)
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.open(busy.url + "/")
    # All from the instance itself, and not much of it.
    browser.wait("document.querySelectorAll('#queries-table tbody tr').length > 2")
    base = busy.url + "/"
    assert all(u.startswith(base) for u in browser.requested if not u.startswith("data:")), browser.requested
    pages = {u for u in browser.requested if u.startswith(base) and "/api/" not in u}
    assert sum(len(busy.http(u[len(base) - 1:])[1].encode()) for u in pages) < MOST_BYTES
    # Figures move.
    first = browser.wait("document.querySelector('#headline').textContent")
    browser.wait("document.querySelector('#headline').textContent !== %r" % first)
    for chart in ("chart", "digests-chart", "latency-chart", "hits-chart", "depth-chart", "age-chart"):
        browser.wait("document.querySelector('#%s canvas') && document.getElementById('%s').dataset.points > 1" % (chart, chart))
    # Along a chart by keyboard, and what is there is said.
    browser.run("document.getElementById('chart').focus()")
    browser.key("ArrowLeft", 37)
    assert re.search(r"\d:\d\d.*:", browser.wait("document.getElementById('chart-at').textContent"))
    # From a finding to its statement, and the fix to the clipboard.
    kinds = browser.run("[...document.querySelectorAll('#findings-list .kind')].map(k => k.textContent)")
    assert "N+1 loop" in kinds, kinds
    browser.run("[...document.querySelectorAll('#findings-list details')].find(d => d.textContent.includes('N+1')).open = true")
    browser.wait("document.querySelector('#findings-list details[open] .code button')")
    browser.run("document.querySelector('#findings-list details[open] .code button').click()")
    browser.wait("document.querySelector('#findings-list details[open] .code button').textContent === 'Copied'")
    assert browser.run("navigator.clipboard.readText()") == "select name, id from customers where id in (?, ?, ...)"
    browser.run("document.querySelector('#findings-list details[open] .links button').click()")
    browser.wait("document.getElementById('detail').open")
    assert "customers" in browser.run("document.getElementById('detail-body').textContent")
    browser.wait("document.querySelector('#detail-body svg')")
    browser.key("Escape", 27)
    browser.wait("!document.getElementById('detail').open")
    # What a rule would do is a table, and who uses the database is told by route or otherwise.
    cacheable = "[...document.querySelectorAll('#findings-list details')].find(d => d.textContent.includes('Cacheable'))"
    wait_until("a prediction", lambda: any(f["kind"] == "cacheable" and f["evidence"]["prediction"]
                                           for f in busy.api("/api/findings")["findings"]), 90)
    browser.wait(cacheable)
    browser.run("new Promise(done => setTimeout(done, 4500))") # what the page holds of it is two seconds old at most
    browser.run(cacheable + ".open = true")
    assert "Hit ratio" in browser.wait(cacheable + ".querySelector('.body table')?.textContent")
    costs = "document.getElementById('costs-table').textContent"
    browser.wait(costs + ".includes('/search')")
    assert "Cost an hour" in browser.run(costs)
    browser.run("document.querySelector('#costs-by [data-by=by_user]').click()")
    assert "app" in browser.wait("!%s.includes('/search') && %s" % (costs, costs))
    assert "[object" not in browser.run("document.body.textContent")
    browser.run("document.querySelector('#findings-list details[open] .links button').click()")
    browser.wait("document.getElementById('detail').open")
    # Everybody can use it: nothing for axe-core to find, in the dialog and without, light and dark, wide and narrow.
    with open(AXE, encoding="utf-8") as f:
        browser.run(f.read() + "; true")
    assert not violations(browser)
    browser.picture(str(tmp_path / "detail.png"))
    browser.key("Escape", 27)
    browser.wait("!document.getElementById('detail').open")
    for dark, width in ((False, 1280), (True, 1280), (True, 390), (False, 390)):
        browser.dark(dark)
        browser.resize(width, 900, mobile=width < 500)
        assert not violations(browser), (dark, width)
        assert browser.run("document.documentElement.scrollWidth") <= width
        browser.picture(str(tmp_path / ("page-%d-%s.png" % (width, "dark" if dark else "light"))), whole=True)
    browser.resize(1280, 900)
    assert not browser.problems, browser.problems


# A statement that comes into the list, or back into it, has spent its time while nobody looked: it is no spike of this moment.
SPENT = """import('./charts.js').then(({Charts}) => {
    const charts = Object.assign(Object.create(Charts.prototype), {before: {}, texts: new Map()});
    const at = (now, rows) => charts.point({now, latency: {}}, {queries: rows.map(([digest, total_time]) => ({digest, total_time, text: digest}))},
        null, null, () => null, {now: now - 2, latency: {}}).time;
    at(0, [['a', 1], ['b', 100]]);
    at(2, [['a', 3]]);
    return at(4, [['a', 5], ['b', 500], ['c', 70]]);
})"""


def test_time_by_statement_has_no_false_spikes(suimon, browser):
    browser.open(suimon().url + "/")
    assert browser.run(SPENT) == {"a": 1}


def test_queries_of_one_account_and_schema(suimon, db, browser, cluster, tmp_path):
    """Chosen from what was seen; the charts stay everybody's, and one statement says who sent it."""
    other = db.name + "_other"
    cluster.setup("CREATE DATABASE `%s`" % other)
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)")
    s = suimon()
    for user, schema, sql in (("app", db.name, "SELECT COUNT(*) AS common FROM t"), ("guest", db.name, "SELECT COUNT(*) AS common FROM t"),
                              ("app", db.name, "SELECT COUNT(*) AS of_app FROM t"), ("app", other, "SELECT 'x' AS elsewhere")):
        with s.connect(user, user, database=schema) as c:
            ask(c, sql)
    settle(s)
    marks = {"common", "of_app", "elsewhere"}

    def shown():
        texts = browser.run("[...document.querySelectorAll('#queries-table tbody button')].map(b => b.textContent)")
        return {m for m in marks if any(m in t for t in texts)}

    def choose(**of):
        for key, value in of.items():
            browser.run("(n => { n.value = %r; n.dispatchEvent(new Event('change')); })(document.getElementById('of-%s')); true" % (value, key))

    try:
        browser.open(s.url + "/")
        wait_until("all of them", lambda: shown() == marks, 20, .1)
        assert browser.wait("document.getElementById('of-user').textContent.includes('guest')")
        for of, expected in (({"user": "guest"}, {"common"}), ({"user": "app", "schema": db.name}, {"common", "of_app"}), ({"user": ""}, {"common", "of_app"}),
                             ({"schema": other}, {"elsewhere"}), ({"user": "guest"}, set()), ({"user": "", "schema": ""}, marks)):
            choose(**of)
            wait_until("those of %s" % of, lambda: shown() == expected, 10, .1)
            assert browser.run("!document.getElementById('queries-none').hidden") == (not expected)
        choose(user="guest")
        wait_until("those of guest", lambda: shown() == {"common"}, 10, .1)
        browser.run("new Promise(done => setTimeout(done, 4500))")
        assert shown() == {"common"}  # while figures come in
        with open(AXE, encoding="utf-8") as f:
            browser.run(f.read() + "; true")
        for dark, width in ((False, 1280), (True, 390)):
            browser.dark(dark)
            browser.resize(width, 900, mobile=width < 500)
            browser.run("document.getElementById('queries').scrollIntoView(); true")
            assert not violations(browser), (dark, width)
            assert browser.run("document.documentElement.scrollWidth") <= width
            browser.picture(str(tmp_path / ("queries-%d.png" % width)))
        browser.dark(False)
        browser.resize(1280, 900)
        browser.run("document.querySelector('#queries-table tbody button').click()")
        browser.wait("document.getElementById('detail').open")
        rows = browser.run("[...document.querySelectorAll('#detail-body table tbody tr')].map(r => r.cells[0].textContent + ' ' + r.cells[1].textContent)")
        assert sorted(rows) == [db.name + " app", db.name + " guest"]
        assert not violations(browser)
        browser.picture(str(tmp_path / "accounts.png"))
        browser.key("Escape", 27)
        assert not browser.problems, browser.problems
    finally:
        cluster.setup("DROP DATABASE `%s`" % other)


def test_foretold_batches_stand_beside_what_the_queue_gathers(suimon, db, browser):
    db.setup("CREATE TABLE access_log (id INT AUTO_INCREMENT PRIMARY KEY, path VARCHAR(40))")

    def rules(name):
        return {"queue": {"rules": [{"match": {"table": "%s.%s" % (db.name, name), "verb": "insert"}, "order": "table"}]}}

    def write(s):
        with s.connect(database=db.name) as c:
            for n in range(50):
                ask(c, "INSERT INTO access_log (path) VALUES ('/p%d')" % n)
        settle(s)

    s = suimon(rules("other"))
    write(s)
    s.write(merge(s.config, rules("access_log")))
    assert s.http("/api/config/reload", data={})[0] == 200
    write(s)
    wait_until("them to be applied", lambda: s.api("/api/queue")["applied"] == 50, 30)
    queue = s.api("/api/queue")
    browser.open(s.url + "/")
    browser.wait("document.querySelector('#queue-foretold tbody tr')")
    heads, cells = (browser.run("[...document.querySelectorAll('#queue-foretold %s')].map(c => c.textContent)" % of) for of in ("thead th", "tbody tr > *"))
    shown = dict(zip(heads, cells))
    # As many digits as the page shows.
    assert float(shown["Rows a batch, foretold"]) == pytest.approx(queue["predictions"][0]["predicted_batch_rows"], rel=.06)
    assert float(shown["Rows a batch, of all that is queued"]) == pytest.approx(queue["mean_batch_rows"], rel=.06)
    assert shown["Queued"] == "50"


def test_the_token_is_asked_for_where_it_shows_more(suimon, db, browser):
    s = suimon({"admin_token": "t0ken", "stats": {"slow": "1us"}})
    with s.connect(database=db.name) as c:
        ask(c, "SELECT 1 + 41")
    browser.open(s.url + "/")
    # As from another host: without the token no samples.
    browser.run("""window.real = window.fetch; window.fetch = async (path, o) => {
        const answer = await window.real(path, o);
        if (!String(path).startsWith('api/queries/') || o.headers.Authorization === 'Bearer t0ken')
            return answer;
        return new Response(JSON.stringify({...await answer.json(), samples: [], samples_allowed: false}));
    }; true""")
    row = "document.querySelector('#queries-table tbody button')"
    browser.wait(row)
    browser.run(row + ".click()")
    browser.wait("document.getElementById('detail').open")
    assert "with the admin token" in browser.run("document.getElementById('detail-body').textContent")
    browser.key("Escape", 27)
    assert browser.run("document.getElementById('login').hidden")
    browser.run("document.getElementById('ask').click()")
    browser.run("new Promise(done => setTimeout(done, 4500))")
    assert not browser.run("document.getElementById('login').hidden")  # it stays while figures come in
    browser.run("document.getElementById('token').value = 't0ken'; document.getElementById('login').requestSubmit(); true")
    browser.run(row + ".click()")
    browser.wait("document.getElementById('detail').open && document.getElementById('detail-body').textContent.includes('Slowest sample')")
    assert "with the admin token" not in browser.run("document.getElementById('detail-body').textContent")
    browser.run("sessionStorage.clear()")


def test_an_instance_that_hangs_is_not_live(suimon, browser):
    s = suimon()
    browser.open(s.url + "/")
    status = "document.getElementById('status').textContent"
    browser.wait(status + " === 'live'")
    s.process.signal(signal.SIGSTOP)
    try:
        browser.wait(status + " === 'no answer'")
    finally:
        s.process.signal(signal.SIGCONT)
    browser.wait(status + " === 'live'")


def test_a_statement_has_an_address(suimon, db, browser):
    s = suimon()
    with s.connect(database=db.name) as c:
        for sql in ("SELECT 1 + 41 AS first", "SELECT name AS second FROM whoami"):
            ask(c, sql)
    settle(s)
    digest = {q["text"].split()[-1 if "+" in q["text"] else 3]: q["digest"] for q in s.api("/api/queries?limit=100")["queries"] if "first" in q["text"] or "second" in q["text"]}
    first, second = digest["first"], digest["second"]
    shown = "(document.getElementById('detail').open ? document.getElementById('detail-h').textContent : '')"
    address = "location.hash"

    def stands(at, what):
        browser.wait("%s === %r && %s === %r" % (address, at, shown, what))

    # What the address bar says is given to somebody else: the statement opens with the page.
    browser.open(s.url + "/#query/" + first)
    stands("#query/" + first, first)
    browser.key("Escape", 27)
    stands("", "")
    browser.run("new Promise(done => setTimeout(done, 4500))")
    stands("", "")  # closed is closed, while figures come in
    # By hand: each is an entry of the history, which leads back and forth.
    browser.run("document.querySelector('nav a[href=\"#queries\"]').click()")
    button = "[...document.querySelectorAll('#queries-table tbody button')].find(b => b.textContent.includes('%s'))"
    browser.wait(button % "second")
    browser.run((button % "second") + ".click()")
    stands("#query/" + second, second)
    browser.run("location.hash = 'query/%s'; true" % first)
    stands("#query/" + first, first)
    browser.run("history.back()")
    stands("#query/" + second, second)
    browser.run("history.back()")
    stands("#queries", "")
    browser.run("history.forward()")
    stands("#query/" + second, second)
    browser.run("document.querySelector('#detail form button').click()")
    stands("", "")
    browser.run("history.back()")
    stands("#query/" + second, second)
    browser.run("history.back()")
    stands("#queries", "")
    # The same one, once closed, opens again; one that is not known leaves nothing open and no address behind.
    browser.run((button % "second") + ".click()")
    stands("#query/" + second, second)
    browser.run("location.hash = 'query/0x0000000000000001'; true")
    stands("", "")
    wait_until("its 404 to be told", lambda: any("0x0000000000000001" in p for p in browser.problems), 30)
    assert not [p for p in browser.problems if "0x0000000000000001" not in p], browser.problems
    browser.problems.clear()
    for other in ("#query/", "#query/../config", "#query/0xnothing", "#nothing"):
        browser.open(s.url + "/" + other)
        browser.wait("document.getElementById('status').textContent === 'live'")
        assert browser.run(shown) == ""
    assert not browser.problems, browser.problems
