/*
 * channel_batch_test.c - sends that leave together: when they leave, in which order, and what becomes of those that do not.
 *
 * Each by io_uring and by io_submit; where the kernel lets nobody use one of them, or the build has none, it is skipped.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "channel.h"
#include "mem.h"

#define MANY 100 /* more than one call takes */
#define LARGE (32 * 1024)

struct peer {
	struct channel ch;
	int fd;          /* the other end */
	const char *why; /* what closed() was told */
	unsigned drained, inputs;
};

static enum sends_way way; /* that is tried */
static struct loop *loop;
static struct channel_scratch *scratch;
static struct peer peers[MANY];

static size_t on_input(struct channel *ch, const uint8_t *p, size_t len)
{
	container_of(ch, struct peer, ch)->inputs++;
	return len;
}

static void on_drained(struct channel *ch)
{
	container_of(ch, struct peer, ch)->drained++;
}

static void on_closed(struct channel *ch, const char *why)
{
	container_of(ch, struct peer, ch)->why = why;
	channel_close(ch);
}

static const struct channel_ops ops = {on_input, on_drained, on_closed, NULL, NULL};

static void begin(int n)
{
	loop = loop_new("batch");
	assert_non_null(loop);
	scratch = channel_scratch_new(loop);
	assert_non_null(scratch);
	channel_scratch_batch(scratch, way);
	if (!scratch->batch) {
		channel_scratch_free(scratch);
		loop_free(loop);
		skip();
	}
	memset(peers, 0, sizeof(peers));
	for (int i = 0; i < n; i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		peers[i].fd = fds[1];
		assert_int_equal(channel_open(&peers[i].ch, scratch, &ops, fds[0]), RC_OK);
	}
}

/* What is deferred runs, as at the end of a turn. */
static void turn_end(void)
{
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);
}

static void turn(void)
{
	(void)event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
	turn_end();
}

static void end(int n)
{
	for (int i = 0; i < n; i++) {
		channel_close(&peers[i].ch);
		if (peers[i].fd >= 0)
			close(peers[i].fd);
	}
	channel_scratch_free(scratch);
	loop_free(loop);
}

static void say(int i, const char *text)
{
	assert_int_equal(channel_put(&peers[i].ch, text, strlen(text)), RC_OK);
	assert_int_equal(channel_flush(&peers[i].ch), RC_OK);
}

static void assert_silent(int i)
{
	char c;

	assert_int_equal(read(peers[i].fd, &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void assert_heard(int i, const char *text)
{
	char got[256] = "";
	ssize_t n = read(peers[i].fd, got, sizeof(got) - 1);

	assert_int_equal(n, strlen(text));
	assert_string_equal(got, text);
}

static void test_what_is_sent_in_one_turn_leaves_at_its_end(void **state)
{
	char text[32];

	begin(3);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(text, sizeof(text), "to the %dth", i);
		say(i, text);
	}
	for (int i = 0; i < 3; i++)
		assert_silent(i);
	turn_end();
	for (int i = 0; i < 3; i++) {
		(void)snprintf(text, sizeof(text), "to the %dth", i);
		assert_heard(i, text);
		assert_int_equal(peers[i].ch.bytes_out, strlen(text));
	}
	say(1, "alone");
	turn_end();
	assert_heard(1, "alone");
	end(3);
}

static void test_more_than_one_call_takes_leaves_in_several(void **state)
{
	char text[32];

	begin(MANY);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "to the %dth", i);
		say(i, text);
	}
	assert_heard(0, "to the 0th");
	assert_silent(MANY - 1);
	turn_end();
	for (int i = 1; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "to the %dth", i);
		assert_heard(i, text);
	}
	end(MANY);
}

static void test_one_channels_sends_keep_their_order(void **state)
{
	static uint8_t large[LARGE], got[LARGE + 16];
	size_t n = 0;

	begin(2);
	memset(large, 'x', sizeof(large));
	say(0, "one ");
	say(1, "other");
	say(0, "two ");
	assert_int_equal(channel_push(&peers[0].ch, large, sizeof(large)), RC_OK); /* not worth a copy: it is sent at once */
	assert_int_equal(channel_flush(&peers[0].ch), RC_OK);
	say(0, " end");
	turn_end();
	for (ssize_t r; (r = read(peers[0].fd, got + n, sizeof(got) - n)) > 0;)
		n += (size_t)r;
	assert_int_equal(n, 8 + sizeof(large) + 4);
	assert_memory_equal(got, "one two xxx", 11);
	assert_memory_equal(got + n - 5, "x end", 5);
	assert_heard(1, "other");
	end(2);
}

static void test_what_is_said_last_arrives_before_the_end(void **state)
{
	begin(2);
	say(0, "farewell");
	say(1, "go on");
	channel_close(&peers[0].ch);
	assert_heard(0, "farewell");
	assert_int_equal(read(peers[0].fd, &(char){0}, 1), 0);
	turn_end();
	assert_heard(1, "go on");
	end(2);
}

/* Fills the way to a peer who does not read. The number of bytes that are under way or kept. */
static size_t fill(int i, const char *text)
{
	size_t n = 0;

	while (!channel_backlog(&peers[i].ch)) {
		(void)channel_put(&peers[i].ch, text, strlen(text));
		(void)channel_flush(&peers[i].ch);
		say(1, "beside ");
		n += strlen(text);
		turn_end();
		assert_heard(1, "beside ");
	}
	return n;
}

static void test_what_a_socket_does_not_take_is_kept(void **state)
{
	const char *text = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"
			   "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
	size_t all, n = 0;

	begin(2);
	all = fill(0, text);
	for (unsigned t = 0; t < 100000 && n < all; t++) {
		char got[4096];
		ssize_t r = read(peers[0].fd, got, sizeof(got));

		for (ssize_t i = 0; i < r; i++, n++)
			assert_int_equal(got[i], text[n % strlen(text)]);
		turn();
	}
	assert_int_equal(n, all);
	assert_int_equal(peers[0].ch.bytes_out, all);
	assert_int_equal(peers[0].drained, 1);
	assert_null(peers[0].why);
	end(2);
}

static void test_without_memory_for_what_is_kept_its_channel_alone_is_closed(void **state)
{
	begin(2);
	(void)fill(0, "full to the brim ");
	iobuf_reset(&peers[0].ch.out); /* the way is full, and nothing is kept */
	say(0, "lost");
	say(1, "there");
	mem_fail_after(1, 1);
	turn_end();
	mem_fail_after(0, 0);
	assert_heard(1, "there");
	assert_null(peers[0].why);
	turn();
	assert_string_equal(peers[0].why, CHANNEL_NO_MEMORY);
	assert_null(peers[1].why);
	end(2);
}

static void test_a_peer_that_is_gone_costs_no_other(void **state)
{
	begin(3);
	close(peers[1].fd);
	peers[1].fd = -1;
	for (int i = 0; i < 3; i++)
		say(i, "hello");
	turn_end();
	assert_heard(0, "hello");
	assert_heard(2, "hello");
	assert_int_equal(channel_put(&peers[1].ch, "x", 1), RC_ERROR);
	turn();
	assert_non_null(peers[1].why);
	assert_true(peers[0].ch.open && peers[2].ch.open);
	end(3);
}

/* A channel whose events follow each other within one turn, as those of a TLS stream with much to read may. */
static void test_a_turn_that_lasts_holds_nothing_up(void **state)
{
	begin(3);
	say(0, "in");
	say(1, "time");
	for (unsigned i = 0; i < 1000; i++)
		event_active(&peers[2].ch.read_event, EV_READ, 0), event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_heard(0, "in");
	assert_heard(1, "time");
	end(3);
}

static void test_what_is_large_holds_no_other_up(void **state)
{
	static uint8_t large[LARGE];

	begin(3);
	say(0, "before a large result");
	assert_int_equal(channel_push(&peers[1].ch, large, sizeof(large)), RC_OK);
	assert_int_equal(channel_flush(&peers[1].ch), RC_OK);
	assert_heard(0, "before a large result");
	say(0, "before a large statement");
	for (size_t n = 0; n < CHANNEL_SCRATCH;) {
		ssize_t r = write(peers[2].fd, large, sizeof(large));

		assert_true(r > 0);
		n += (size_t)r;
	}
	(void)event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_heard(0, "before a large statement");
	say(0, "before what must not come first");
	channel_scratch_send(scratch);
	assert_heard(0, "before what must not come first");
	end(3);
}

static void test_freed_within_a_turn(void **state)
{
	begin(2);
	say(0, "so");
	say(1, "long");
	end(2); /* closes them, which sends; what was deferred runs in loop_free */
}

/* A filter that is laid over the process while it runs: both calls are refused from now on. */
static bool forbid(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_submit, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = countof(code), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool hears(int i, const char *text)
{
	char got[64] = "";

	return read(peers[i].fd, got, sizeof(got) - 1) == (ssize_t)strlen(text) && strcmp(got, text) == 0;
}

static int refused(void)
{
	if (!forbid())
		return 2;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++)
			if (channel_put(&peers[i].ch, "still", 5) != RC_OK || channel_flush(&peers[i].ch) != RC_OK)
				return 3;
		loop_stop(loop);
		if (loop_run(loop) != 0)
			return 4;
		for (int i = 0; i < 3; i++)
			if (!hears(i, "still"))
				return 5;
	}
	return 0;
}

static void test_what_the_kernel_refuses_is_sent_one_by_one(void **state)
{
	int status;
	pid_t child;

	begin(3);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(refused());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	end(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_sent_in_one_turn_leaves_at_its_end),
		cmocka_unit_test(test_more_than_one_call_takes_leaves_in_several),
		cmocka_unit_test(test_one_channels_sends_keep_their_order),
		cmocka_unit_test(test_what_is_said_last_arrives_before_the_end),
		cmocka_unit_test(test_what_a_socket_does_not_take_is_kept),
		cmocka_unit_test(test_without_memory_for_what_is_kept_its_channel_alone_is_closed),
		cmocka_unit_test(test_a_peer_that_is_gone_costs_no_other),
		cmocka_unit_test(test_a_turn_that_lasts_holds_nothing_up),
		cmocka_unit_test(test_what_is_large_holds_no_other_up),
		cmocka_unit_test(test_freed_within_a_turn),
		cmocka_unit_test(test_what_the_kernel_refuses_is_sent_one_by_one),
	};

	static const enum sends_way each[] = {SENDS_IO_URING, SENDS_IO_SUBMIT};
	int failed = 0;

	(void)signal(SIGPIPE, SIG_IGN); /* as in the program */
	for (size_t i = 0; i < countof(each); i++) {
		way = each[i];
		failed += cmocka_run_group_tests_name(sends_name(way), tests, NULL, NULL);
	}
	return failed;
}
