"""P1, P3: what MariaDB's own regression suite asks of a connection, and went another way through suimon before."""
import contextlib
import threading

import MySQLdb
import pymysql
import pytest
from pymysql.constants import CLIENT

from conftest import KIND, ask, mariadb_only
import servers
from wire import Wire


@pytest.fixture
def alone(suimon):
    """suimon before the primary only, without rules."""
    return suimon({"replicas": []})


def test_a_routine_that_opens_a_cursor_may_select(alone, db):
    db.setup("CREATE PROCEDURE walk() BEGIN DECLARE v INT; DECLARE c CURSOR FOR SELECT 7; OPEN c; FETCH c INTO v;"
             " SELECT v; SELECT v + 1; END")
    with alone.connect(database=db.name) as c, c.cursor() as cur:
        cur.execute("CALL walk()")
        assert cur.fetchall() == ((7,),)
        assert cur.nextset() and cur.fetchall() == ((8,),)


def test_a_select_may_have_more_columns_than_a_table(alone, db):
    with alone.connect(database=db.name) as c:
        assert len(ask(c, "SELECT " + ",".join(["1"] * 70000))[0]) == 70000


def test_connections_without_a_client_go(alone, db, cluster):
    """A server has no more connections than suimon has clients, a moment after some have left."""
    with alone.connect(database=db.name) as stays:
        ask(stays, "SELECT 1")
        before = cluster.primary.status("Threads_connected")
        others = [alone.connect(database=db.name) for _ in range(5)]
        for c in others:
            ask(c, "SET @a = 1")  # pins: each has a connection of its own
        assert cluster.primary.status("Threads_connected") > before
        for c in others:
            c.close()
        servers.wait_until("connections to go", lambda: cluster.primary.status("Threads_connected") <= before, 30)
        assert ask(stays, "SELECT 2") == ((2,),)


def test_a_server_without_replicas_sees_clients_only(suimon, db, cluster):
    """With a client at work the monitor has no connection and makes none."""
    cluster.setup("CREATE USER watcher@'%' IDENTIFIED BY 'watcher'", "GRANT ALL ON *.* TO watcher@'%'")
    try:
        s = suimon({"replicas": [], "backend": {"monitor": {"user": "watcher", "password": "watcher", "interval": "20ms"}}})
        watching = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'watcher'"
        servers.wait_until("the monitor", lambda: cluster.primary.sql(watching) == ((1,),), 30)
        with s.connect(database=db.name) as c:
            servers.wait_until("it to leave", lambda: ask(c, watching) == ((0,),), 30)
            checks = s.metrics()["suimon_monitor_checks_total"]
            assert [ask(c, "SELECT SLEEP(0.1)") and ask(c, watching) for _ in range(10)] == [((0,),)] * 10
            assert s.metrics()["suimon_monitor_checks_total"] == checks
    finally:
        cluster.setup("DROP USER watcher@'%'")


def test_a_session_is_found_in_the_list_of_processes_by_its_number(alone, db):
    """Whatever it is doing, as text and prepared; other numbers stay as they are."""
    question = "SELECT command FROM information_schema.processlist WHERE id = %d"
    with alone.connect(database=db.name) as a, alone.connect(database=db.name) as b, alone.connect(database=db.name) as third:
        number = ask(a, "SELECT CONNECTION_ID()")[0][0]
        assert number == a.thread_id()
        servers.wait_until("it to be idle", lambda: ask(b, question % number) == (("Sleep",),), 30)

        def sleep():
            with pytest.raises(pymysql.Error):  # interrupted
                ask(a, "SELECT SLEEP(300)")

        busy = threading.Thread(target=sleep)
        busy.start()
        servers.wait_until("it to be busy", lambda: ask(b, question % number) == (("Query",),), 30)
        with Wire(third) as w:
            with_number = w.prepare(question % number)
            assert b"Query" in b"".join(with_number.execute())
        other = number + 1000
        assert ask(b, question % other) == ()
        assert ask(b, "SELECT %d FROM information_schema.processlist LIMIT 1" % other) == ((other,),)
        ask(b, "KILL QUERY %d" % number)
        busy.join(60)
        assert not busy.is_alive()


@mariadb_only("MySQL hangs up on whom it refuses a change of user")
def test_a_user_that_cannot_be_changed_to_leaves_the_session_as_it_was(alone, cluster, db):
    """And MariaDB lets a connection try three times in all: then none is taken, nor a good one."""
    def told(c, user, password):
        with pytest.raises(MySQLdb.Error) as refused:
            c.change_user(user, password)
        return refused.value.args[0]

    def who_and_where(c):
        c.query("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()")
        return c.store_result().fetch_row()[0]

    for port in (cluster.primary.port, alone.mysql_port):
        c = MySQLdb.connect(host=servers.LOOPBACK, port=port, user="app", passwd="app", db=db.name)
        try:
            for user, password in (("app", "wrong"), ("nobody", "x")):
                assert told(c, user, password) == 1045
                assert who_and_where(c) == ("app", db.name)
            c.change_user("guest", "guest", db.name)
            assert who_and_where(c) == ("guest", db.name)
            assert told(c, "app", "wrong") == 1045
            for password in ("wrong", "app"):
                assert told(c, "app", password) == 1047
                assert who_and_where(c) == ("guest", db.name)
        finally:
            c.close()


@mariadb_only("MySQL has no such passwords any more")
def test_an_account_with_an_old_password_comes_through_where_nobody_listens(suimon, alone, cluster):
    """Over a unix socket or TLS; elsewhere its answer would give the password away to whoever claims to be the server."""
    cluster.setup("SET GLOBAL secure_auth = OFF", "CREATE USER ancient@'%' IDENTIFIED BY PASSWORD '09301740536db389'")
    near = suimon({"primary": "unix:" + cluster.primary.socket, "replicas": []})
    try:
        with near.connect(user="ancient", password="oldpw") as c:
            assert ask(c, "SELECT CURRENT_USER()") == (("ancient@%",),)
        for instance, password, code in ((near, "other", 1045), (alone, "oldpw", 2049)):
            with pytest.raises(pymysql.Error) as refused:
                instance.connect(user="ancient", password=password)
            assert refused.value.args[0] == code
        assert refused.value.args[1].startswith("suimon: ") and "backend.tls" in refused.value.args[1]
    finally:
        cluster.setup("SET GLOBAL secure_auth = ON", "DROP USER ancient@'%'")


def admin(instance, cluster):
    cluster.setup("CREATE USER IF NOT EXISTS boss@'%' IDENTIFIED BY 'boss'", "GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
    return instance.connect(user="boss", password="boss")


def test_what_is_changed_about_accounts_is_so_at_the_next_login(alone, cluster):
    """No trust outlives a statement that changes accounts, and no connection serves rights it logged in before."""
    with admin(alone, cluster) as boss:
        try:
            ask(boss, "CREATE USER brief@'%' IDENTIFIED BY 'brief'")
            with alone.connect(user="brief", password="brief") as c:
                assert ask(c, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'boss'") == ((0,),)
            ask(boss, "GRANT PROCESS ON *.* TO brief@'%'")
            with alone.connect(user="brief", password="brief") as c:
                assert ask(c, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'boss'") == ((1,),)
            ask(boss, "DROP USER brief@'%'")
            with pytest.raises(pymysql.Error) as refused:
                alone.connect(user="brief", password="brief")
            assert refused.value.args[0] == 1045
        finally:
            cluster.setup("DROP USER IF EXISTS brief@'%'", "DROP USER boss@'%'")


@mariadb_only("max_password_errors")
def test_a_failed_login_makes_the_next_one_ask_the_server(alone, cluster):
    """The server counts failures and forgets them at a success: suimon's own knowledge of a password must not hide one."""
    cluster.setup("SET GLOBAL max_password_errors = 2", "CREATE USER careless@'%' IDENTIFIED BY 'right'")
    try:
        for _ in range(3):
            with pytest.raises(pymysql.Error) as refused:
                alone.connect(user="careless", password="wrong")
            assert refused.value.args[0] == 1045
            alone.connect(user="careless", password="right").close()
    finally:
        cluster.setup("SET GLOBAL max_password_errors = DEFAULT", "DROP USER careless@'%'")


def test_what_a_server_reports_is_as_it_would_be(alone, db):
    """suimon has servers report more than they would; a client that looks or chooses sees nothing of it."""
    question = "SELECT @@session_track_system_variables, @@session_track_state_change"
    with alone.connect(database=db.name) as c, db.direct() as d:
        assert ask(c, question) == ask(d, question)
        assert ask(c, "SHOW VARIABLES LIKE 'autocommit'") == ask(d, "SHOW VARIABLES LIKE 'autocommit'")
        for one in (c, d):
            ask(one, "SET session_track_system_variables = 'sql_mode'")
        assert ask(c, question) == ask(d, question)


def test_a_new_session_has_the_global_variables_of_its_login(alone, cluster, db):
    """Whatever connection serves it; a session that was there before keeps its own."""
    with admin(alone, cluster) as boss, alone.connect(user="boss", password="boss") as before:
        try:
            for c in (boss, before):
                ask(c, "SELECT 1")
            ask(boss, "SET GLOBAL div_precision_increment = 9")
            assert ask(before, "SELECT @@div_precision_increment") == ((4,),)
            with alone.connect(user="boss", password="boss") as after:
                assert ask(after, "SELECT @@div_precision_increment") == ((9,),)
        finally:
            cluster.setup("SET GLOBAL div_precision_increment = DEFAULT", "DROP USER boss@'%'")


def test_what_was_not_allowed_empties_no_cache(suimon, db):
    """A client without rights could keep the cache empty."""
    s = suimon({"replicas": [], "cache": {"rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}})
    read = "SELECT name FROM whoami"
    with s.connect(database=db.name) as c, Wire(s.connect(database=db.name)) as w:
        def entries():
            ask(c, read)
            return s.api("/api/cache")["entries"]
        servers.wait_until("an entry", entries, 30)
        for sql in ("SET GLOBAL div_precision_increment = 9", "SET GLOBAL no_such_variable = 9", "SET GLOBAL version = 'x'",
                    "GRANT ALL ON *.* TO guest@'%'", "CREATE USER intruder@'%'", "DROP USER guest@'%'", "ALTER USER guest@'%' ACCOUNT LOCK"):
            with pytest.raises(pymysql.Error):
                ask(c, sql)
            assert s.api("/api/cache")["entries"] == 1, sql
        with contextlib.suppress(pymysql.MySQLError):  # MySQL looks for the right when it is executed
            w.prepare("SET GLOBAL div_precision_increment = 9")
        assert s.api("/api/cache")["entries"] == 1


def test_what_asked_for_spaces_to_be_ignored_keeps_it(alone, db):
    """CLIENT_IGNORE_SPACE counts at a login only: a connection with it is never reset for the next one."""
    for _ in range(3):
        with alone.connect(database=db.name, client_flag=pymysql.constants.CLIENT.IGNORE_SPACE) as c:
            assert ask(c, "SELECT COUNT (*) FROM whoami") == ((1,),)
            ask(c, "SET @a = 1")  # leaves something behind


def test_what_asked_for_spaces_to_be_ignored_keeps_it_where_variables_are_unset(suimon, db):
    """Whose variable nobody can name the default of: the next session gets another connection, not a reset one."""
    s = suimon({"replicas": [], "threads": 1, "backend": {"pool": {"max": 1, "min_idle": 0}}})
    flag = pymysql.constants.CLIENT.IGNORE_SPACE
    with s.connect(database=db.name, client_flag=flag) as one, s.connect(database=db.name, client_flag=flag) as two:
        for n in range(3):
            ask(one, "SET div_precision_increment = %d" % (6 + n))
            assert ask(one, "SELECT @@div_precision_increment") == ((6 + n,),)
            assert ask(two, "SELECT @@div_precision_increment") == ((4,),)
        assert ask(two, "SELECT COUNT (*) FROM whoami") == ((1,),)


UNSCOPED = [("div_precision_increment", "7", "SELECT 1/7, name FROM whoami"), ("time_zone", "'+03:00'", "SELECT FROM_UNIXTIME(0), name FROM whoami"),
            ("sql_mode", "'ANSI_QUOTES'", 'SELECT LENGTH("name") > 0, "name" = \'name\', name FROM whoami'),
            ("group_concat_max_len", "@@div_precision_increment + 4", "SELECT GROUP_CONCAT('a long text'), MAX(name) FROM whoami"),
            ("old_mode", "zero_date_time_cast", "SELECT TIMESTAMP'0000-00-00 10:20:30' = CAST('10:20:30' AS TIME), name FROM whoami")]


@pytest.mark.parametrize("variable, value, read", [u for u in UNSCOPED if KIND == "mariadb" or u[0] != "old_mode"])
@pytest.mark.parametrize("form", ["SET @@%s = %s", "SET @x = 1, @@%s := %s", "SET @@%s = %s, @@max_sort_length = 100"])
def test_a_variable_set_without_its_scope_counts_on_every_server(proxy, db, form, variable, value, read):
    """P3: SET @@name = .. is a session's, and MariaDB reports no change of it."""
    with db.direct() as c:
        before = ask(c, read)[0][:-1]
        ask(c, form % (variable, value))
        want = ask(c, read)[0][:-1]
    assert before != want or variable == "old_mode"
    with proxy.connect(database=db.name) as c:
        ask(c, form % (variable, value))
        for hint in ("", "/* suimon: primary */ ", "/* suimon: replica */ "):
            assert ask(c, hint + read)[0][:-1] == want, hint
        for pinned in [s["pinned"] for s in proxy.api("/api/clients")["clients"] if s["user"] == "app"]:
            assert bool(pinned) == ("@x" in form)


@pytest.mark.parametrize("prepared", [False, True])
def test_a_variable_set_without_its_scope_is_nobody_elses(suimon, db, prepared):
    s = suimon({"replicas": [], "threads": 1, "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name) as one, s.connect(database=db.name) as two, Wire(s.connect(database=db.name)) as w:
        for n in range(3):
            sql = "SET @@div_precision_increment = %d" % (6 + n)
            if prepared:
                w.prepare(sql).execute()
            else:
                ask(one, sql)
                assert ask(one, "SELECT @@div_precision_increment") == ((6 + n,),)
            assert ask(two, "SELECT @@div_precision_increment") == ((4,),)


@mariadb_only("which does not report it")
@pytest.mark.parametrize("sql", ["SET @@div_precision_increment = 9; SELECT 1 FROM nosuch",
                                 "SET STATEMENT max_statement_time = 5 FOR SELECT 1; SET @@div_precision_increment = 9"])
def test_a_variable_set_without_its_scope_in_several_statements_is_nobody_elses(suimon, db, sql):
    s = suimon({"replicas": [], "threads": 1, "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
        with contextlib.suppress(pymysql.MySQLError), c.cursor() as cur:
            cur.execute(sql)
            while cur.nextset():
                pass
        assert ask(c, "SELECT @@div_precision_increment") == ((9,),)
    with s.connect(database=db.name) as other:
        assert ask(other, "SELECT @@div_precision_increment") == ((4,),)


def test_an_isolation_level_set_without_its_scope_is_for_the_next_transaction(alone, db):
    with alone.connect(database=db.name) as c:
        ask(c, "SET @@%s = 'SERIALIZABLE'" % ("tx_isolation" if KIND == "mariadb" else "transaction_isolation"))
        assert [s["pinned"] for s in alone.api("/api/clients")["clients"]] == ["next_transaction"] or KIND != "mariadb"


def test_a_closed_statement_holds_nothing_on_the_server(alone, db, cluster):
    """What reads and writes rows stays prepared for whoever prepares it next; DDL would hold plugins and the like."""
    with alone.connect(database=db.name) as c, Wire(c) as w:
        held = cluster.primary.status("Prepared_stmt_count")
        for sql in ("CREATE TABLE held (a INT)", "DROP TABLE held"):
            s = w.prepare(sql)
            s.execute()
            assert cluster.primary.status("Prepared_stmt_count") == held + 1
            s.close()
            servers.wait_until("it to be closed", lambda: cluster.primary.status("Prepared_stmt_count") == held, 30)


def test_where_all_sessions_are_profiled_nothing_of_suimon_shows(suimon, cluster, db):
    """A new session has a connection on which suimon says nothing: the primary's, whatever it reads first."""
    db.setup("CREATE TABLE seen (a INT)")
    s = suimon()
    with admin(s, cluster) as boss:
        try:
            ask(boss, "SET GLOBAL profiling = ON")
            with s.connect(database=db.name) as c:
                ask(c, "SELECT COUNT(*) FROM seen")
                ask(c, "INSERT INTO seen VALUES (1)")
                assert ask(c, "SELECT a FROM seen") == ((1,),)
                said = [text for _, _, text in ask(c, "SHOW PROFILES")]
                assert any("INSERT" in text for text in said) and not any("session_track" in text for text in said)
        finally:
            cluster.setup("SET GLOBAL profiling = OFF", "DROP USER boss@'%'")
