/*
 * The slow log: what an entry says, what it must not say, and what becomes of a file that is moved, full or not there.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slowlog.h"
#include "stats_helper.h"

static char dir[] = "/tmp/slowlog.XXXXXX", path[64], text[1024 * 1024];

static int begin(void **state)
{
	strncpy(dir, "/tmp/slowlog.XXXXXX", sizeof(dir));
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/slow.log", dir);
	return 0;
}

static int end(void **state)
{
	char old[80];

	snprintf(old, sizeof(old), "%s.1", path);
	(void)unlink(old);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static const char *contents(const char *file)
{
	int fd = open(file, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static struct stats_event slow(const char *sql)
{
	struct stats_event e = helper_event(1, sql);

	e.total_ns = 1500 * NS_PER_MS;
	e.wait_ns = 250 * NS_PER_MS;
	e.host = span_str("10.1.2.3");
	e.session = 42;
	return e;
}

static void open_log(struct stats *s)
{
	char err[256];

	assert_int_equal(stats_slow_log(s, path, err, sizeof(err)), RC_OK);
}

static void an_entry_says_who_when_and_how_long(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = slow("SELECT * FROM products WHERE id = 7;\n"), quick = helper_event(2, "SELECT quick");

	open_log(s);
	e.error = 1317;
	e.no_index = true;
	stats_record(k, NULL, &e);
	stats_record(k, NULL, &quick);
	assert_int_equal(stats_sum(s, STATS_C_SLOW_LOGGED), 1);
	stats_free(s);
	contents(path);
	assert_non_null(strstr(text, "# User@Host: app[app] @  [10.1.2.3]  Id: 42\n"));
	assert_non_null(strstr(text, "# Schema: shop  Last_errno: 1317  Killed: 1\n"));
	assert_non_null(strstr(text, "# Query_time: 1.500000  Lock_time: 0.250000  Rows_sent: 1  Rows_affected: 0\n"));
	assert_non_null(strstr(text, "No_index_used: Yes"));
	assert_non_null(strstr(text, "use `shop`;\nSET timestamp="));
	assert_non_null(strstr(text, ";\nSELECT * FROM products WHERE id = 7;\n"));
	assert_null(strstr(text, "quick"));
}

static void without_samples_no_value_is_written(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_options off = {.slow_ns = NS_PER_SEC};
	struct stats_event e = slow("SELECT 12345"), private = slow("SET PASSWORD = 67890");

	open_log(s);
	private.private_text = true;
	private.verb = "set";
	stats_record(k, NULL, &private);
	stats_reconfigure(s, &off);
	stats_record(k, NULL, &e);
	stats_free(s);
	contents(path);
	assert_non_null(strstr(text, "SELECT ?;"));
	assert_null(strstr(text, "12345"));
	assert_null(strstr(text, "67890"));
	assert_non_null(strstr(text, "\nset;\n")); /* of a statement with a password, the verb */
}

/* Whoever chose a name must not be able to write entries of his own. */
static void a_name_cannot_forge_an_entry(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = slow("SELECT 1");

	open_log(s);
	e.user = span_str("a\n# User@Host: root[root]");
	e.schema = span_str("b`;\nDROP TABLE t");
	stats_record(k, NULL, &e);
	stats_free(s);
	contents(path);
	assert_null(strstr(text, "\n# User@Host: root"));
	assert_null(strstr(text, "\nDROP"));
	assert_null(strstr(text, "use "));
}

static void a_long_statement_is_cut(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	char *sql = mem_zalloc(SLOWLOG_SQL_MAX + 2000);
	struct stats_event e;

	memset(sql, 'x', SLOWLOG_SQL_MAX + 1999);
	e = slow(sql);
	open_log(s);
	stats_record(k, NULL, &e);
	stats_free(s);
	assert_in_range(strlen(contents(path)), SLOWLOG_SQL_MAX, SLOWLOG_SQL_MAX + 1000);
	assert_non_null(strstr(text, "x /* cut: 67535 bytes in all */;\n"));
	mem_free(sql);
}

static void a_file_that_was_moved_is_begun_anew_when_told(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = slow("SELECT 1");
	char old[80], err[256];

	snprintf(old, sizeof(old), "%s.1", path);
	open_log(s);
	stats_record(k, NULL, &e);
	for (int i = 0; i < 3000 && !*contents(path); i++)
		usleep(5000);
	assert_int_equal(rename(path, old), 0);
	open_log(s);
	e.text = span_str("SELECT after");
	stats_record(k, NULL, &e);
	/* An unusable path changes nothing. */
	assert_int_equal(stats_slow_log(s, "/nowhere/slow.log", err, sizeof(err)), RC_ERROR);
	assert_non_null(strstr(err, "/nowhere/slow.log"));
	stats_free(s);
	assert_null(strstr(contents(old), "after"));
	assert_non_null(strstr(contents(path), "after"));
}

/* A few at a time, so that the file is looked at in between. */
static void add_fifty(struct slowlog *l, struct stats_sink *k)
{
	struct stats_event e = slow("SELECT 1");

	for (int i = 0; i < 50; i++) {
		slowlog_add(l, k, &e, true, clock_wall_us());
		usleep(1000);
	}
}

static void a_full_file_makes_room(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct slowlog *l = slowlog_new(helper_sink(s));
	char old[80], err[256];
	struct stat st;

	snprintf(old, sizeof(old), "%s.1", path);
	assert_non_null(l);
	assert_int_equal(slowlog_open(l, path, 1000, err, sizeof(err)), RC_OK);
	add_fifty(l, k);
	slowlog_free(l);
	assert_int_equal(stat(old, &st), 0);
	assert_true(st.st_size >= 1000);
	assert_int_equal(stat(path, &st), 0);
	stats_free(s);
}

static uint64_t size_of(const char *file)
{
	struct stat st;

	return stat(file, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Two processes of an upgrade write to one file: the second to find it full must not put the new one aside, over what the first has. */
static void what_another_has_put_aside_is_not_lost(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct slowlog *l = slowlog_new(helper_sink(s));
	struct stats_event e = slow("SELECT 1");
	char old[80], err[256];
	int fd;

	snprintf(old, sizeof(old), "%s.1", path);
	assert_int_equal(slowlog_open(l, path, 1000, err, sizeof(err)), RC_OK);
	slowlog_add(l, k, &e, true, clock_wall_us());
	for (int i = 0; i < 3000 && !size_of(path); i++)
		usleep(5000);
	assert_int_equal(rename(path, old), 0);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "theirs\n", 7), 7);
	close(fd);
	for (uint64_t had = size_of(old); had < 1000; had = size_of(old)) {
		slowlog_add(l, k, &e, true, clock_wall_us());
		for (int i = 0; i < 3000 && size_of(old) == had; i++)
			usleep(5000);
		assert_true(size_of(old) > had);
	}
	e.text = span_str("SELECT new");
	slowlog_add(l, k, &e, true, clock_wall_us());
	slowlog_free(l);
	assert_non_null(strstr(contents(old), "SELECT 1;"));
	assert_int_equal(strncmp(contents(path), "theirs\n# Time: ", 15), 0);
	assert_non_null(strstr(text, "SELECT new;"));
	stats_free(s);
}

static void a_full_disk_loses_entries_and_says_so(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = slow("SELECT 1");
	char err[256];

	if (access("/dev/full", W_OK) != 0)
		skip();
	assert_int_equal(stats_slow_log(s, "/dev/full", err, sizeof(err)), RC_OK);
	stats_record(k, NULL, &e);
	for (int i = 0; i < 3000 && !stats_sum(s, STATS_C_SLOW_LOG_FAILURES); i++)
		usleep(5000);
	assert_int_equal(stats_sum(s, STATS_C_SLOW_LOG_FAILURES), 1);
	stats_free(s);
}

static void make_pipe(void)
{
	assert_int_equal(mkfifo(path, 0600), 0);
}

/* A pipe holds what it holds: nothing waits for whoever has it open and does not read, the end neither. */
static void a_pipe_that_nobody_reads_holds_nothing_up(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = slow("SELECT 1");
	char err[256];
	int reader;

	make_pipe();
	alarm(60); /* where it waits it does so for good */
	assert_int_equal(stats_slow_log(s, path, err, sizeof(err)), RC_ERROR);
	assert_non_null(strstr(err, path));
	assert_non_null(strstr(err, "nobody reads"));
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	open_log(s);
	for (int i = 0; i < 3000; i++) /* a megabyte; a pipe takes 64 KiB */
		stats_record(k, NULL, &e);
	for (int i = 0; i < 3000 && !stats_sum(s, STATS_C_SLOW_LOG_FAILURES); i++)
		usleep(5000);
	assert_true(stats_sum(s, STATS_C_SLOW_LOG_FAILURES) > 0);
	assert_non_null(strstr(contents(path), "SELECT 1"));
	stats_record(k, NULL, &e);
	stats_free(s);
	alarm(0);
	close(reader);
}

/* Else the next one would be read as more of it. */
static void an_entry_that_was_broken_off_is_ended(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = slow("SELECT 2");
	char sql[10000];
	int reader;

	make_pipe();
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0 && fcntl(reader, F_SETPIPE_SZ, 4096) == 4096);
	open_log(s);
	memset(sql, 'x', sizeof(sql) - 1);
	sql[sizeof(sql) - 1] = '\0';
	e.text = span_str(sql);
	stats_record(k, NULL, &e);
	for (int i = 0; i < 3000 && !stats_sum(s, STATS_C_SLOW_LOG_FAILURES); i++)
		usleep(5000);
	assert_int_equal(stats_sum(s, STATS_C_SLOW_LOG_FAILURES), 1);
	assert_int_equal(read(reader, text, sizeof(text)), 4096);
	e.text = span_str("SELECT 3");
	stats_record(k, NULL, &e);
	stats_free(s);
	text[read(reader, text, sizeof(text) - 1)] = '\0';
	assert_int_equal(strncmp(text, ";\n# Time: ", 10), 0);
	assert_non_null(strstr(text, "\nSELECT 3;\n"));
	close(reader);
}

/* The process whose it was has ended, or is another one of an upgrade; and of a new file nothing is. */
static void what_was_broken_off_before_is_ended(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = slow("SELECT 4");
	char err[256];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, "SELECT 'xx", 10), 10);
	close(fd);
	open_log(s);
	stats_record(k, NULL, &e);
	for (int i = 0; i < 3000 && size_of(path) <= 10; i++)
		usleep(5000);
	assert_int_equal(strncmp(contents(path), "SELECT 'xx;\n# Time: ", 20), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(stats_slow_log(s, path, err, sizeof(err)), RC_OK);
	stats_record(k, NULL, &e);
	stats_free(s);
	assert_int_equal(strncmp(contents(path), "# Time: ", 8), 0);
}

/* ... and such a one, where it goes to a file. */
static void a_link_is_not_put_aside(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct slowlog *l = slowlog_new(helper_sink(s));
	char link[80], old[90], err[256];
	struct stat st;

	snprintf(link, sizeof(link), "%s.link", path);
	snprintf(old, sizeof(old), "%s.1", link);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(slowlog_open(l, link, 1000, err, sizeof(err)), RC_OK);
	add_fifty(l, k);
	slowlog_free(l);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_not_equal(lstat(old, &st), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 2000);
	unlink(link);
	stats_free(s);
}

/* /dev/stdout is such a name. */
static void what_is_no_file_is_not_put_aside(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct slowlog *l = slowlog_new(helper_sink(s));
	int reader, entries = 0;
	char old[80], err[256];
	struct stat st;

	snprintf(old, sizeof(old), "%s.1", path);
	make_pipe();
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(slowlog_open(l, path, 1000, err, sizeof(err)), RC_OK);
	add_fifty(l, k);
	slowlog_free(l);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_not_equal(stat(old, &st), 0);
	text[read(reader, text, sizeof(text) - 1)] = '\0';
	for (const char *p = text; (p = strstr(p, "SELECT 1;")) != NULL; p++)
		entries++;
	assert_int_equal(entries, 50);
	close(reader);
	stats_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_entry_says_who_when_and_how_long, begin, end),
		cmocka_unit_test_setup_teardown(without_samples_no_value_is_written, begin, end),
		cmocka_unit_test_setup_teardown(a_name_cannot_forge_an_entry, begin, end),
		cmocka_unit_test_setup_teardown(a_long_statement_is_cut, begin, end),
		cmocka_unit_test_setup_teardown(a_file_that_was_moved_is_begun_anew_when_told, begin, end),
		cmocka_unit_test_setup_teardown(a_full_file_makes_room, begin, end),
		cmocka_unit_test_setup_teardown(what_another_has_put_aside_is_not_lost, begin, end),
		cmocka_unit_test(a_full_disk_loses_entries_and_says_so),
		cmocka_unit_test_setup_teardown(a_pipe_that_nobody_reads_holds_nothing_up, begin, end),
		cmocka_unit_test_setup_teardown(an_entry_that_was_broken_off_is_ended, begin, end),
		cmocka_unit_test_setup_teardown(what_was_broken_off_before_is_ended, begin, end),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_not_put_aside, begin, end),
		cmocka_unit_test_setup_teardown(a_link_is_not_put_aside, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
