"""P1, R1, R2: WordPress (Debian's package) with its reads split: installed through suimon, logged in, a post and a comment written, and
every page the same as from a WordPress that talks to the primary. (tests/wordpress_root unpacks it.)"""
import html
import json
import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest

from conftest import address
from servers import LOOPBACK, TOP, Process, free_port, sum_metric, wait_until

ROOT = os.environ.get("SUIMON_WORDPRESS_ROOT") or os.path.join(TOP, "build", "wordpress")
FILES = os.path.join(ROOT, "usr", "share", "wordpress")

pytestmark = pytest.mark.skipif(not os.path.exists(os.path.join(ROOT, ".complete")) or not shutil.which("php"),
                                reason="no WordPress (tests/wordpress_root), or no php")
CONFIG = """<?php
define('DB_NAME', '%s'); define('DB_USER', 'app'); define('DB_PASSWORD', 'app'); define('DB_HOST', '%s');
define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $k) { define($k . '_KEY', $k); define($k . '_SALT', $k); }
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']); define('WP_SITEURL', WP_HOME);
define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_DEBUG', true); define('WP_DEBUG_LOG', '%s'); define('WP_DEBUG_DISPLAY', false);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""


class Site:
    """A WordPress with a web server of its own, before one database address; with a browser's cookies."""

    def __init__(self, base, schema, database):
        self.dir = os.path.join(base, "wordpress")
        self.errors = os.path.join(base, "errors.log")
        shutil.copytree(FILES, self.dir, ignore_dangling_symlinks=True) # links into an /etc/wordpress that nobody has installed
        with open(os.path.join(self.dir, "wp-config.php"), "w") as f:
            f.write(CONFIG % (schema, database, self.errors))
        self.port = free_port()
        self.process = Process("WordPress", ["php", "-d", "sendmail_path=/bin/true", "-S", "%s:%d" % (LOOPBACK, self.port), "-t", self.dir],
                               os.path.join(base, "php.log"))
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def start(self):
        self.process.start()
        wait_until("WordPress", self.answers, 30)

    def answers(self):
        try:
            return self.get("/readme.html")
        except urllib.error.URLError:
            return None

    def request(self, path, data=None, headers=None):
        r = urllib.request.Request("http://%s:%d%s" % (LOOPBACK, self.port, path), data, headers or {})
        with self.browser.open(r, timeout=120) as answer:
            return answer.read().decode()

    def get(self, path):
        return self.request(path)

    def post(self, path, **fields):
        return self.request(path, urllib.parse.urlencode(fields).encode())

    def rest(self, route, **fields):
        """WordPress's own interface for its editor."""
        nonce = self.get("/wp-admin/admin-ajax.php?action=rest-nonce")
        return json.loads(self.request("/index.php?rest_route=" + route, json.dumps(fields).encode(),
                                       {"Content-Type": "application/json", "X-WP-Nonce": nonce}))

    def log_in(self):
        self.get("/wp-login.php")
        self.post("/wp-login.php", log="admin", pwd="a long enough one", testcookie="1")
        assert "Dashboard" in self.get("/wp-admin/index.php")

    def page(self, path):
        """Without what differs between two sites: the address, and what is made anew for every page (mail addresses are written in entities,
        now these, now those)."""
        text = re.sub(r"127\.0\.0\.1(:|%3A)\d+", "SITE", html.unescape(self.get(path)))
        return re.sub(r"\b[0-9a-f]{10}\b", "NONCE", text)  # times, too

    def complaints(self):
        if not os.path.exists(self.errors):
            return ""
        with open(self.errors) as f:
            return "".join(line for line in f if "database error" in line)


@pytest.fixture
def sites(proxy, db, tmp_path):
    made = []
    for name, database in (("through", "%s:%d" % (LOOPBACK, proxy.mysql_port)), ("direct", address(db.cluster.primary))):
        os.makedirs(str(tmp_path / name))
        site = Site(str(tmp_path / name), db.name, database)
        made.append(site)
        site.start()
    yield made
    for site in made:
        site.process.stop(20)


def test_a_site_with_reads_split(sites, proxy, db):
    through, direct = sites
    answer = through.post("/wp-admin/install.php?step=2", weblog_title="Water & gate", user_name="admin", admin_password="a long enough one",
                          admin_password2="a long enough one", pw_weak="1", admin_email="a@example.org", blog_public="0", language="")
    assert "Success!" in answer, html.unescape(re.sub(r"<[^>]+>|\s+", " ", answer))[:2000]
    through.log_in()
    before = sum_metric(proxy.metrics(), "suimon_queries_total", 'route="replica"')
    posts = []
    for n in range(5):
        post = through.rest("/wp/v2/posts", title="Post %d 水門" % n, content="<p>The text of post %d.</p>" % n, status="publish")
        posts.append(post["id"])
        assert "The text of post %d." % n in through.get("/?p=%d" % post["id"])
        assert "Post %d 水門" % n in through.get("/")
    through.rest("/wp/v2/posts/%d" % posts[0], content="<p>Another text.</p>")
    shown = through.get("/?p=%d" % posts[0])
    assert "Another text." in shown and "The text of post 0." not in shown
    through.post("/wp-comments-post.php", comment="A comment.", comment_post_ID=str(posts[1]), comment_parent="0")
    assert "A comment." in through.get("/?p=%d" % posts[1])
    through.rest("/wp/v2/posts/%d" % posts[2], status="draft")
    direct.log_in()
    for path in ["/", "/?p=%d" % posts[0], "/?p=%d" % posts[1], "/?s=text", "/?feed=rss2", "/?m=999912", "/wp-admin/edit.php", "/wp-admin/options-general.php",
                 "/wp-admin/users.php", "/wp-admin/edit-comments.php", "/index.php?rest_route=/wp/v2/posts"]:
        try:
            want = direct.page(path)
        except urllib.error.HTTPError as e:
            with pytest.raises(urllib.error.HTTPError) as got:
                through.page(path)
            assert got.value.code == e.code
            continue
        for _ in range(20): # a page may tell the time it was made at, to the second
            if through.page(path) == want:
                break
            want = direct.page(path)
        else:
            assert through.page(path) == want, path
    assert sum_metric(proxy.metrics(), "suimon_queries_total", 'route="replica"') > before
    assert not through.complaints()
    assert db.primary("SELECT COUNT(*) FROM wp_posts WHERE post_type = 'post' AND post_status = 'publish'") == ((5,),)
