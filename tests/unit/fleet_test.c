/*
 * fleet_test.c - what instances share: the difference that is shown, and the copy on disk, whole or not taken (F2).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fleet_copy.h"
#include "fleet_diff.h"
#include "mem.h"
#include "settings.h"

#define KEY "suimon:rules"

/* ---- the difference ---- */

static void assert_diff(const char *old, const char *new, const char *want)
{
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(fleet_diff(span_str(old), span_str(new), &out), RC_OK);
	assert_int_equal(iobuf_len(&out), strlen(want));
	assert_memory_equal(iobuf_data(&out), want, strlen(want));
	iobuf_reset(&out);
}

static void diff_shows_lines(void **state)
{
	assert_diff("", "", "");
	assert_diff("a\nb\n", "a\nb\n", "");
	assert_diff("", "a\n", "@ line 1\n+a\n");
	assert_diff("a\n", "", "@ line 1\n-a\n");
	assert_diff("a\nb\nc\n", "a\nx\nc\n", "@ line 2\n-b\n+x\n");
	assert_diff("a\nb\nc\nd\ne\n", "b\nc\nx\ne\nf\n", "@ line 1\n-a\n@ line 3\n-d\n+x\n@ line 5\n+f\n");
	assert_diff("no end", "no end\n", "");
	assert_diff("", "\x1b[2J\x7f", "@ line 1\n+?[2J?\n");
}

/* Beyond the table's bound: all that goes, all that comes, and nothing is lost. */
static void diff_of_large_texts(void **state)
{
	const size_t n = 5000;
	struct iobuf a, b, out;
	size_t lines = 0;

	iobuf_init(&a, 0);
	iobuf_init(&b, 0);
	iobuf_init(&out, 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(iobuf_printf(&a, "old %zu\n", i), RC_OK);
		assert_int_equal(iobuf_printf(&b, "new %zu\n", i), RC_OK);
	}
	assert_int_equal(fleet_diff(span_of(iobuf_data(&a), iobuf_len(&a)), span_of(iobuf_data(&b), iobuf_len(&b)), &out), RC_OK);
	for (size_t i = 0; i < iobuf_len(&out); i++)
		lines += iobuf_data(&out)[i] == '\n';
	assert_int_equal(lines, 2 * n + 1);
	iobuf_reset(&a);
	iobuf_reset(&b);
	iobuf_reset(&out);
}

/* ---- the copy ---- */

static char folder[] = "/tmp/fleet_test.XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/copy", folder);
	return 0;
}

static int drop_folder(void **state)
{
	(void)unlink(path);
	return rmdir(folder);
}

static void write_copy(struct span bytes)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes.p, 1, bytes.len, f), bytes.len);
	assert_int_equal(fclose(f), 0);
}

static void assert_read(enum rc want)
{
	struct fleet_doc doc;
	const char *why = NULL;

	assert_int_equal(fleet_copy_read(path, KEY, &doc, &why), want);
	if (want == RC_ERROR)
		assert_non_null(why);
	fleet_doc_reset(&doc);
}

static size_t read_bytes(char *buf, size_t cap)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, cap, f);
	fclose(f);
	return n;
}

/* Any byte that is gone or another one makes it none. */
static void a_copy_is_whole_or_none(void **state)
{
	static const char text[] = "routing:\n  consistency: strong\n";
	struct fleet_doc doc = {.version = 0}, again;
	char sum[FLEET_STORE_SUM], bytes[512];
	const char *why;
	size_t len;

	assert_read(RC_DECLINED);
	fleet_store_sum(span_str(text), sum);
	assert_int_equal(strlen(sum), 64);
	assert_int_equal(fleet_doc_set(&doc, 42, span_str(sum), span_str(text)), RC_OK);
	assert_int_equal(fleet_copy_write(path, KEY, &doc), RC_OK);
	assert_int_equal(fleet_copy_read(path, KEY, &again, &why), RC_OK);
	assert_int_equal(again.version, 42);
	assert_string_equal(again.sum, sum);
	assert_string_equal(again.text, text);
	fleet_doc_reset(&again);
	assert_int_equal(fleet_copy_read(path, "another", &again, &why), RC_ERROR);

	len = read_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < len; i++) {
		write_copy(span_of(bytes, i));
		assert_read(RC_ERROR);
	}
	for (size_t i = 0; i < len; i++) {
		char was = bytes[i];

		if (i >= strlen("suimon-shared 1 ") && i < strlen("suimon-shared 1 42"))
			continue; /* the number is what Redis corrects */
		bytes[i] = (char)(was ^ 1);
		write_copy(span_of(bytes, len));
		assert_read(RC_ERROR);
		bytes[i] = was;
	}
	fleet_doc_reset(&doc);
}

static void write_often(uint64_t version, size_t len)
{
	struct fleet_doc doc = {.version = 0};
	char sum[FLEET_STORE_SUM], *text = mem_zalloc(len + 1);

	if (!text)
		_exit(2);
	memset(text, '#', len);
	fleet_store_sum(span_of(text, len), sum);
	if (fleet_doc_set(&doc, version, span_str(sum), span_of(text, len)) != RC_OK)
		_exit(3);
	for (int i = 0; i < 60; i++)
		if (fleet_copy_write(path, KEY, &doc) != RC_OK)
			_exit(1);
	_exit(0);
}

/* The two processes of an upgrade, or tasks that share a volume. */
static void of_two_who_write_the_last_has_it_whole(void **state)
{
	pid_t pids[2];
	int status;

	(void)unlink(path);
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			write_often((uint64_t)i + 1, i ? 300000 : 1000);
	}
	for (int left = 2; left;) {
		struct fleet_doc doc;
		const char *why = NULL;
		enum rc rc = fleet_copy_read(path, KEY, &doc, &why);

		if (rc == RC_ERROR)
			fail_msg("%s", why);
		fleet_doc_reset(&doc);
		for (int i = 0; i < 2; i++) {
			if (pids[i] && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
				assert_int_equal(status, 0);
				pids[i] = 0;
				left--;
			}
		}
	}
	assert_read(RC_OK);
}

static void put_named(const char *name, unsigned age_s)
{
	struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
	char full[128];
	int fd;

	(void)snprintf(full, sizeof(full), "%s/%s", folder, name);
	fd = open(full, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, times), 0);
	assert_int_equal(close(fd), 0);
}

/* Is it there? It is not, afterwards. */
static bool take_named(const char *name)
{
	char full[128];

	(void)snprintf(full, sizeof(full), "%s/%s", folder, name);
	return unlink(full) == 0;
}

static void what_a_crash_has_left_is_removed(void **state)
{
	static const char *const others[] = {"copy", "copy.new", "copy.0123456789abcde.new", "copy.0123456789abcdef0.new", "copy.0123456789abcdeg.new",
					     "copy.0123456789abcdef.new2", "copy2.0123456789abcdef.new", "opy.0123456789abcdef.new"};

	for (size_t i = 0; i < countof(others); i++)
		put_named(others[i], 7200);
	put_named("copy.0123456789abcdef.new", 3700);
	put_named("copy.00000000000000ff.new", 7200000);
	put_named("copy.fedcba9876543210.new", 3500);
	put_named("copy.fedcba9876543211.new", 0);
	fleet_copy_tidy(path);
	assert_false(take_named("copy.0123456789abcdef.new"));
	assert_false(take_named("copy.00000000000000ff.new"));
	assert_true(take_named("copy.fedcba9876543210.new"));
	assert_true(take_named("copy.fedcba9876543211.new"));
	for (size_t i = 0; i < countof(others); i++)
		assert_true(take_named(others[i]));
	fleet_copy_tidy("/nowhere/at/all");
}

/* Neither it nor the file that was to replace it: the folder is empty at the end. */
static void what_cannot_be_written_leaves_nothing(void **state)
{
	struct fleet_doc doc = {.version = 0};

	assert_int_equal(fleet_doc_set(&doc, 1, span_str("0"), span_str("a: 1\n")), RC_OK);
	(void)unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(fleet_copy_write(path, KEY, &doc), RC_ERROR);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	fleet_doc_reset(&doc);
}

static void out_of_memory_is_answered(void **state)
{
	struct fleet_doc doc = {.version = 0};
	char sum[FLEET_STORE_SUM];
	int failed = 0;

	fleet_store_sum(span_str("a: 1\n"), sum);
	assert_int_equal(fleet_doc_set(&doc, 7, span_str(sum), span_str("a: 1\n")), RC_OK);
	assert_int_equal(fleet_copy_write(path, KEY, &doc), RC_OK);
	for (uint64_t n = 1; n < 8; n++) {
		struct fleet_doc got = {.version = 0};
		const char *why = NULL;
		enum rc rc;

		mem_fail_after(n, 0);
		rc = fleet_copy_read(path, KEY, &got, &why);
		if (rc == RC_OK)
			rc = fleet_copy_write(path, KEY, &doc);
		mem_fail_after(0, 0);
		failed += rc != RC_OK;
		fleet_doc_reset(&got);
	}
	assert_true(failed >= 3);
	fleet_doc_reset(&doc);
}

/* ---- the URL ---- */

static void assert_split(const char *source, const char *url, const char *key)
{
	char *got_url, *got_key;

	assert_int_equal(settings_source_split(source, &got_url, &got_key), RC_OK);
	assert_string_equal(got_url, url);
	assert_string_equal(got_key, key);
	mem_free(got_url);
	mem_free(got_key);
}

static void a_source_is_cut_in_two(void **state)
{
	char *url, *key;

	assert_split("redis://h/k", "redis://h", "k");
	assert_split("redis://h:1/3/a:b/c", "redis://h:1/3", "a:b/c");
	assert_split("redis://u:p/@w@h:1/0/k", "redis://u:p/@w@h:1/0", "k");
	assert_split("rediss://h/k?verify=none", "rediss://h?verify=none", "k");
	assert_split("rediss://h/5/k?ca=/etc/ca.pem", "rediss://h/5?ca=/etc/ca.pem", "k");
	assert_split("redis://h/123", "redis://h", "123");
	assert_split("redis+cluster://a:1,b:2/{x}y", "redis+cluster://a:1,b:2", "{x}y");
	assert_int_equal(settings_source_split("redis://h", &url, &key), RC_DECLINED);
	assert_int_equal(settings_source_split("redis://h/", &url, &key), RC_DECLINED);
	assert_int_equal(settings_source_split("redis://h/0/", &url, &key), RC_DECLINED);
	assert_int_equal(settings_source_split("h/k", &url, &key), RC_DECLINED);
	assert_int_equal(settings_source_split("", &url, &key), RC_DECLINED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(diff_shows_lines),
		cmocka_unit_test(diff_of_large_texts),
		cmocka_unit_test(a_copy_is_whole_or_none),
		cmocka_unit_test(of_two_who_write_the_last_has_it_whole),
		cmocka_unit_test(what_a_crash_has_left_is_removed),
		cmocka_unit_test(what_cannot_be_written_leaves_nothing),
		cmocka_unit_test(out_of_memory_is_answered),
		cmocka_unit_test(a_source_is_cut_in_two),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
