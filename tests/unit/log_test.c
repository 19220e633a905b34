/*
 * log_test.c - what stands on stderr: form, escapes, JSON, limits, one whole line a write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <jansson.h>

#include "clock.h"
#include "log.h"

#define OUTPUT_MAX (1024 * 1024)

static FILE *file; /* stderr, while captured */
static int old_stderr;
static char *output; /* what was captured; NUL-terminated */

static int capture(void **state)
{
	log_setup(LOG_LEVEL_INFO, false);
	file = tmpfile();
	output = calloc(1, OUTPUT_MAX);
	old_stderr = dup(STDERR_FILENO);
	return file && output && old_stderr >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int release(void **state)
{
	dup2(old_stderr, STDERR_FILENO);
	close(old_stderr);
	fclose(file);
	free(output);
	return 0;
}

static const char *captured(void)
{
	ssize_t n = pread(fileno(file), output, OUTPUT_MAX - 1, 0);

	assert_true(n >= 0);
	output[n] = '\0';
	return output;
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t re;
	int rc;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	rc = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	if (rc != 0)
		print_error("no match: %s in: %s", pattern, text);
	assert_int_equal(rc, 0);
}

static size_t lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

static void a_line_has_level_time_subsystem_text_and_pairs(void **state)
{
	log_info("queue", "segment opened", "path=%s bytes=%zu", "a.log", (size_t)4096);
	assert_matches(captured(), "^INFO " TIME " queue: segment opened path=a\\.log bytes=4096\n$");
}

static void a_line_without_pairs_ends_with_its_text(void **state)
{
	log_warn("net", "listening", NULL);
	assert_matches(captured(), "^WARN " TIME " net: listening\n$");
}

static void levels_below_the_least_are_not_written(void **state)
{
	log_debug("a", "hidden", NULL);
	assert_string_equal(captured(), "");
	log_setup(LOG_LEVEL_DEBUG, false);
	log_debug("a", "shown", "n=%d", 1);
	assert_matches(captured(), "^DEBUG " TIME " a: shown n=1\n$");
	log_setup(LOG_LEVEL_ERROR, false);
	log_warn("a", "hidden too", NULL);
	log_error("a", "last", NULL);
	assert_int_equal(lines(captured()), 2);
}

static void control_characters_cannot_forge_a_line(void **state)
{
	log_info("a", "said", "what=%s", "x\nERROR 2000 fake: line\x1b[31m\x7f\xff\xc2\x9b");
	assert_matches(captured(), "what=x\\\\nERROR 2000 fake: line\\\\x1b\\[31m\\\\x7f\\\\xff\\\\xc2\\\\x9b\n$");
	assert_int_equal(lines(captured()), 1);
}

static void a_long_line_is_cut_and_still_one_line(void **state)
{
	static char text[10000];

	memset(text, 'x', sizeof(text) - 1);
	log_info("a", "long", "what=%s", text);
	assert_matches(captured(), "x\xe2\x80\xa6\n$");
	assert_true(strlen(output) <= 4096);
}

static void quoting_keeps_a_value_in_one_piece(void **state)
{
	char buf[32], tiny[3];

	assert_string_equal(log_quote(buf, sizeof(buf), span_str("a b")), "\"a b\"");
	assert_string_equal(log_quote(buf, sizeof(buf), span_str("a\"b\\c\n")), "\"a\\\"b\\\\c\\n\"");
	assert_string_equal(log_quote(buf, sizeof(buf), span_of(NULL, 0)), "\"\"");
	assert_string_equal(log_quote(buf, sizeof(buf), span_str("0123456789012345678901234567890123456789")),
			    "\"01234567890123456789012345\xe2\x80\xa6\"");
	assert_string_equal(log_quote(buf, 9, span_str("a\xc3\xa4\xc3\xa4\xc3\xa4")), "\"a\xc3\xa4\xe2\x80\xa6\"");
	assert_string_equal(log_quote(tiny, sizeof(tiny), span_str("x")), "");
	assert_ptr_equal(log_quote(NULL, 0, span_str("x")), NULL);
}

static json_t *captured_json(void)
{
	json_error_t error;
	json_t *j = json_loads(captured(), JSON_REJECT_DUPLICATES, &error);

	if (!j)
		print_error("%s: %s", error.text, output);
	assert_non_null(j);
	return j;
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "(not a string)";
}

static void json_has_the_same_pairs(void **state)
{
	char quoted[64];
	json_t *j;

	log_setup(LOG_LEVEL_INFO, true);
	log_error("queue", "cannot \"open\"",
		  "path=%s bytes=%d ratio=-0.25 id=007 error=%s time=%s big=%s empty= last=x",
		  log_quote(quoted, sizeof(quoted), span_str("a \"b\" k=v\n\\\x01\xff")), 42,
		  "No such file or directory", "5ms", "12345678901234567890");
	j = captured_json();
	assert_matches(text_of(j, "time"), "^" TIME "$");
	assert_string_equal(text_of(j, "level"), "ERROR");
	assert_string_equal(text_of(j, "subsystem"), "queue");
	assert_string_equal(text_of(j, "text"), "cannot \"open\"");
	assert_string_equal(text_of(j, "path"), "a \"b\" k=v\n\\\x01\xef\xbf\xbd");
	assert_int_equal(json_integer_value(json_object_get(j, "bytes")), 42);
	assert_true(json_real_value(json_object_get(j, "ratio")) == -0.25);
	assert_string_equal(text_of(j, "id"), "007");
	assert_string_equal(text_of(j, "error"), "No such file or directory");
	assert_string_equal(text_of(j, "time_"), "5ms");
	assert_string_equal(text_of(j, "big"), "12345678901234567890");
	assert_string_equal(text_of(j, "empty"), "");
	assert_string_equal(text_of(j, "last"), "x");
	assert_int_equal(json_object_size(j), 13);
	json_decref(j);
}

static void json_stays_well_formed_when_cut(void **state)
{
	static const char empty_texts[400]; /* another address each time, so that none is limited */
	static char text[5000];

	log_setup(LOG_LEVEL_INFO, true);
	for (size_t n = 3700; n < 4095; n++) {
		json_t *j;

		memset(text, 'v', sizeof(text));
		snprintf(text + n, sizeof(text) - n, " k=1 kk=\"\\\"\" kkk=%c\xc3\xa4 d= e= f= g= h= i=", 1);
		assert_int_equal(ftruncate(STDERR_FILENO, 0), 0);
		lseek(STDERR_FILENO, 0, SEEK_SET);
		log_write(LOG_LEVEL_INFO, "a", empty_texts + (n - 3700), "x=%s", text);
		j = captured_json();
		assert_int_equal(lines(output), 1);
		json_decref(j);
	}
}

static void repeats_are_dropped_and_counted(void **state)
{
	static const struct timespec pause = {.tv_sec = 1, .tv_nsec = 10000000};

	for (int i = 0; i < 50; i++) {
		log_info("a", "again", "i=%d", i);
		if (i % 25 == 0)
			log_info("b", "another", "i=%d", i);
	}
	assert_int_equal(lines(captured()), 22);
	nanosleep(&pause, NULL);
	log_info("a", "again", "i=%d", 50);
	assert_matches(captured(), "again i=50 repeats_dropped=30\n$");
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_write(LOG_LEVEL_INFO, "threads", (const char *)arg + i, "filler=%0200d", i);
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	static const char texts[4][201] = {"", "", "",
					   ""}; /* a text of its own for each line, so that none is limited */
	pthread_t threads[countof(texts)];
	const char *line;

	for (size_t i = 0; i < countof(texts); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)(uintptr_t)texts[i]), 0);
	for (size_t i = 0; i < countof(texts); i++)
		pthread_join(threads[i], NULL);
	line = captured();
	assert_int_equal(lines(line), 200 * countof(texts));
	for (; *line; line = strchr(line, '\n') + 1)
		assert_int_equal(strchr(line, '\n') - line,
				 (ssize_t)strlen("INFO 2000-01-01T00:00:00.000Z threads:  filler=") + 200);
}

/* stderr is a pipe of one page, or a socket, which nobody reads yet. Returns the end to read from. */
static int nobody_reads(bool is_socket)
{
	int ends[2];

	if (is_socket) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	} else {
		assert_int_equal(pipe(ends), 0);
		assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
	}
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	return ends[0];
}

static void log_many_lines(void)
{
	static const char texts[4000] = ""; /* a text of its own for each line, so that none is limited */

	for (size_t i = 0; i < sizeof(texts); i++)
		log_write(LOG_LEVEL_INFO, "full", texts + i, "filler=%0300zu", i);
}

/* Whole lines come, and then one that tells how many did not. */
static void what_nobody_reads_is_lost_whole_and_counted(void **state)
{
	for (int is_socket = 0; is_socket < 2; is_socket++) {
		int from = nobody_reads(is_socket);
		uint64_t before = log_lost();
		char pattern[200];
		size_t written;
		ssize_t n;

		alarm(30);
		log_many_lines();
		alarm(0);
		n = read(from, output, OUTPUT_MAX - 1);
		assert_true(n > 0 && output[n - 1] == '\n');
		output[n] = '\0';
		written = lines(output);
		assert_int_equal(n % (ssize_t)written, 0); /* all are of one length */
		assert_int_equal(log_lost() - before, 4000 - written);
		log_info("full", is_socket ? "a socket is read again" : "a pipe is read again", NULL);
		n = read(from, output, OUTPUT_MAX - 1);
		output[n > 0 ? n : 0] = '\0';
		(void)snprintf(pattern, sizeof(pattern), "^INFO " TIME " full: .* lines_lost=%zu\n$", 4000 - written);
		assert_matches(output, pattern);
		log_info("full", is_socket ? "and then not, of a socket" : "and then not, of a pipe", NULL);
		n = read(from, output, OUTPUT_MAX - 1);
		assert_true(n > 0 && !memmem(output, (size_t)n, "lines_lost", 10));
		close(from);
	}
}

/* Of any size: it has room for less than a line, and says that it has room. */
static void a_terminal_that_nobody_reads_holds_nobody_up(void **state)
{
	struct termios raw;
	uint64_t before = log_lost();
	int from, to;

	assert_int_equal(openpty(&from, &to, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(to, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(to, TCSANOW, &raw), 0);
	assert_true(dup2(to, STDERR_FILENO) >= 0);
	close(to);
	alarm(30);
	log_many_lines();
	alarm(0);
	assert_true(log_lost() - before > 1000);
	close(from);
}

static void the_last_line_waits_a_moment_for_its_reader(void **state)
{
	int from = nobody_reads(false), status;
	uint64_t begun = clock_mono_ns();
	pid_t pid;

	log_many_lines();
	pid = fork();
	if (pid == 0)
		log_fatal("full", "nobody reads", NULL);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), LOG_EXIT_FATAL);
	assert_true(clock_mono_ns() - begun > NS_PER_SEC / 2 && clock_mono_ns() - begun < 20 * NS_PER_SEC);
	close(from);
}

#define captured_test(f) cmocka_unit_test_setup_teardown(f, capture, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
		captured_test(a_line_has_level_time_subsystem_text_and_pairs),
		captured_test(a_line_without_pairs_ends_with_its_text),
		captured_test(levels_below_the_least_are_not_written),
		captured_test(control_characters_cannot_forge_a_line),
		captured_test(a_long_line_is_cut_and_still_one_line),
		captured_test(quoting_keeps_a_value_in_one_piece),
		captured_test(json_has_the_same_pairs),
		captured_test(json_stays_well_formed_when_cut),
		captured_test(repeats_are_dropped_and_counted),
		captured_test(lines_of_threads_do_not_mix),
		captured_test(what_nobody_reads_is_lost_whole_and_counted),
		captured_test(a_terminal_that_nobody_reads_holds_nobody_up),
		captured_test(the_last_line_waits_a_moment_for_its_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
