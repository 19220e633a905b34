/*
 * channel_test.c - what becomes of a channel whose bytes are lost on the way out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "channel.h"
#include "mem.h"

#define MUCH (8 * 1024 * 1024) /* more than a socket takes at once */

struct fixture {
	struct loop *loop;
	struct channel_scratch *scratch;
	struct channel ch;
	int peer;
	const char *why; /* what closed() was told */
	unsigned closed, drained;
};

static struct fixture *now;

static size_t on_input(struct channel *ch, const uint8_t *p, size_t len)
{
	return len;
}

static void on_drained(struct channel *ch)
{
	now->drained++;
}

static void on_closed(struct channel *ch, const char *why)
{
	now->closed++;
	now->why = why;
	channel_close(ch);
}

static const struct channel_ops ops = {on_input, on_drained, on_closed, NULL};

static void begin(struct fixture *f)
{
	int fds[2];

	memset(f, 0, sizeof(*f));
	now = f;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	f->peer = fds[1];
	f->loop = loop_new("channel");
	assert_non_null(f->loop);
	f->scratch = channel_scratch_new(f->loop);
	assert_non_null(f->scratch);
	assert_int_equal(channel_open(&f->ch, f->scratch, &ops, fds[0]), RC_OK);
}

static void turn(struct fixture *f)
{
	(void)event_base_loop(loop_base(f->loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void end(struct fixture *f)
{
	channel_close(&f->ch);
	close(f->peer);
	channel_scratch_free(f->scratch);
	loop_free(f->loop);
}

/* The peer neither reads nor leaves: nothing else would ever close it. */
static void test_bytes_lost_for_lack_of_memory_close_it_promptly(void **state)
{
	struct fixture f;
	char *much = mem_zalloc(MUCH);

	assert_non_null(much);
	begin(&f);
	assert_int_equal(channel_push(&f.ch, much, MUCH), RC_OK);
	mem_fail_after(1, 1);
	assert_int_equal(channel_flush(&f.ch), RC_ERROR);
	mem_fail_after(0, 0);
	assert_int_equal(f.closed, 0); /* never from within the call */
	assert_int_equal(channel_push(&f.ch, much, 1), RC_ERROR);
	turn(&f);
	assert_int_equal(f.closed, 1);
	assert_string_equal(f.why, CHANNEL_NO_MEMORY);
	turn(&f);
	assert_int_equal(f.closed, 1);
	end(&f);
	mem_free(much);
}

/* Its owner has closed it before the turn in which it would be told. */
static void test_an_owner_that_closes_it_first_is_not_told(void **state)
{
	struct fixture f;
	char *much = mem_zalloc(MUCH);

	assert_non_null(much);
	begin(&f);
	assert_int_equal(channel_push(&f.ch, much, MUCH), RC_OK);
	mem_fail_after(1, 1);
	assert_int_equal(channel_flush(&f.ch), RC_ERROR);
	mem_fail_after(0, 0);
	channel_close(&f.ch);
	turn(&f);
	assert_int_equal(f.closed, 0);
	end(&f);
	mem_free(much);
}

static void test_what_the_socket_does_not_take_is_kept(void **state)
{
	struct fixture f;
	char *much = mem_zalloc(MUCH), *got = mem_alloc(MUCH);
	size_t n = 0;

	assert_non_null(much);
	assert_non_null(got);
	begin(&f);
	assert_int_equal(channel_push(&f.ch, much, MUCH), RC_OK);
	assert_int_equal(channel_flush(&f.ch), RC_AGAIN);
	for (unsigned i = 0; i < 100000 && n < MUCH; i++) {
		ssize_t r = read(f.peer, got, MUCH);

		n += r > 0 ? (size_t)r : 0;
		turn(&f);
	}
	assert_int_equal(n, MUCH);
	assert_int_equal(f.drained, 1);
	assert_int_equal(f.closed, 0);
	end(&f);
	mem_free(much);
	mem_free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_lost_for_lack_of_memory_close_it_promptly),
		cmocka_unit_test(test_an_owner_that_closes_it_first_is_not_told),
		cmocka_unit_test(test_what_the_socket_does_not_take_is_kept),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
