/*
 * loop_test.c - mail between threads arrives once and in order; deferred work runs after the turn; stopping loses none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"

#define SENDERS 4
#define MAILS 5000

struct letter {
	struct mail mail;
	struct loop *loop;
	int sender;
	int number;
	int *seen; /* by sender: the next number expected; the loop's thread only */
};

static void run_letter(struct mail *mail)
{
	struct letter *l = container_of(mail, struct letter, mail);

	if (l->seen[l->sender] == l->number)
		l->seen[l->sender]++;
	free(l);
}

struct sender {
	pthread_t thread;
	struct loop *loop;
	int number;
	int *seen;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;

	for (int i = 0; i < MAILS; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		if (!l)
			return arg;
		*l = (struct letter){.mail.run = run_letter, .sender = s->number, .number = i, .seen = s->seen};
		loop_post(s->loop, &l->mail);
	}
	return NULL;
}

static void mail_arrives_once_and_in_its_senders_order(void **state)
{
	struct loop *loop = loop_new("receiver");
	struct sender senders[SENDERS];
	int seen[SENDERS] = {0};

	assert_non_null(loop);
	assert_int_equal(loop_start(loop), RC_OK);
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){.loop = loop, .number = i, .seen = seen};
		assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	loop_stop(loop); /* what was posted before it still runs */
	loop_join(loop);
	for (int i = 0; i < SENDERS; i++)
		assert_int_equal(seen[i], MAILS);
	loop_free(loop);
}

struct ball {
	struct mail mail;
	struct loop *sides[2];
	int hits;
};

static void return_ball(struct mail *mail)
{
	struct ball *b = container_of(mail, struct ball, mail);

	if (++b->hits < 2000) {
		loop_post(b->sides[b->hits % 2], mail);
		return;
	}
	loop_stop(b->sides[0]);
	loop_stop(b->sides[1]);
}

/* No wake-up may be lost: each side sleeps until the other's mail comes. */
static void two_loops_play_with_one_mail(void **state)
{
	struct ball ball = {.mail.run = return_ball};

	for (int i = 0; i < 2; i++) {
		ball.sides[i] = loop_new("player with a long name");
		assert_non_null(ball.sides[i]);
		assert_int_equal(loop_start(ball.sides[i]), RC_OK);
	}
	loop_post(ball.sides[0], &ball.mail);
	for (int i = 0; i < 2; i++)
		loop_join(ball.sides[i]);
	assert_int_equal(ball.hits, 2000);
	for (int i = 0; i < 2; i++)
		loop_free(ball.sides[i]);
}

struct turn {
	struct mail posted, deferred, again;
	struct loop *loop;
	char order[8];
	int runs;
	uint64_t now;
};

static void note(struct turn *t, char what)
{
	t->order[t->runs++] = what;
}

static void run_again(struct mail *mail)
{
	struct turn *t = container_of(mail, struct turn, again);

	note(t, 'a');
	loop_stop(t->loop);
}

static void run_deferred(struct mail *mail)
{
	struct turn *t = container_of(mail, struct turn, deferred);

	note(t, 'd');
	loop_defer(t->loop, &t->again);
}

static void run_posted(struct mail *mail)
{
	struct turn *t = container_of(mail, struct turn, posted);
	struct timespec pause = {.tv_nsec = 2000000};

	t->now = loop_now_ns(t->loop);
	loop_defer(t->loop, &t->deferred);
	nanosleep(&pause, NULL);
	assert_int_equal(loop_now_ns(t->loop), t->now); /* read once a wake-up */
	note(t, 'p');
}

static void deferred_work_runs_after_the_turn_even_without_events(void **state)
{
	struct turn t = {.posted.run = run_posted, .deferred.run = run_deferred, .again.run = run_again};

	t.loop = loop_new("test");
	assert_non_null(t.loop);
	loop_post(t.loop, &t.posted);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.order, "pda");
	loop_free(t.loop);
}

static void what_is_deferred_last_runs_when_the_loop_is_freed(void **state)
{
	struct turn t = {.deferred.run = run_deferred, .again.run = run_again};

	t.loop = loop_new("test");
	assert_non_null(t.loop);
	loop_defer(t.loop, &t.deferred);
	loop_free(t.loop);
	assert_string_equal(t.order, "da");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct turn *t = arg;

	note(t, 't');
	t->now = loop_now_ns(t->loop);
	loop_stop(t->loop);
}

static void timers_fire_and_time_moves_on(void **state)
{
	struct timeval delay = {.tv_usec = 30000};
	struct turn t = {.loop = loop_new("test")};
	uint64_t before = clock_mono_ns();
	struct event *timer;

	assert_non_null(t.loop);
	timer = event_new(loop_base(t.loop), -1, 0, on_timer, &t);
	assert_non_null(timer);
	assert_int_equal(event_add(timer, &delay), 0);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.order, "t");
	assert_true(t.now >= before + 20 * NS_PER_MS);
	event_free(timer);
	loop_free(t.loop);
}

static void a_loop_stopped_before_it_runs_returns_at_once(void **state)
{
	struct loop *loop = loop_new("test");

	assert_non_null(loop);
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);
	loop_join(loop); /* never started: nothing to wait for */
	loop_free(loop);
	loop_free(NULL);
}

struct look {
	struct mail mail;
	struct loop *loop;
	char name[16];
	bool term_blocked, segv_blocked;
};

static void look_around(struct mail *mail)
{
	struct look *look = container_of(mail, struct look, mail);
	sigset_t set;

	pthread_getname_np(pthread_self(), look->name, sizeof(look->name));
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	look->term_blocked = sigismember(&set, SIGTERM) == 1;
	look->segv_blocked = sigismember(&set, SIGSEGV) == 1;
	loop_stop(look->loop);
}

static void on_libevent_event(evutil_socket_t fd, short what, void *arg)
{
}

static void its_thread_is_named_and_leaves_signals_to_the_main_thread(void **state)
{
	struct look look = {.mail.run = look_around, .loop = loop_new("queue-drain-number-one")};
	sigset_t set;

	assert_non_null(look.loop);
	assert_int_equal(loop_start(look.loop), RC_OK);
	loop_post(look.loop, &look.mail);
	loop_join(look.loop);
	assert_string_equal(look.name, "queue-drain-num");
	assert_true(look.term_blocked);
	assert_false(look.segv_blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_false(sigismember(&set, SIGTERM));
	loop_free(look.loop);
}

static void what_libevent_says_is_a_line_of_the_log(void **state)
{
	struct loop *loop = loop_new("test");
	int ends[2], old = dup(STDERR_FILENO);
	char line[500] = "";

	assert_non_null(loop);
	loop_library_log();
	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	assert_null(event_new(loop_base(loop), SIGUSR1, EV_SIGNAL | EV_READ, on_libevent_event, NULL));
	assert_true(dup2(old, STDERR_FILENO) >= 0);
	close(ends[1]);
	assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
	close(ends[0]);
	close(old);
	if (strncmp(line, "WARN 20", 7) != 0 || !strstr(line, " loop: libevent warns message=\"") || strchr(line, '\n')[1])
		fail_msg("%s", line);
	event_set_log_callback(NULL);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_arrives_once_and_in_its_senders_order),
		cmocka_unit_test(two_loops_play_with_one_mail),
		cmocka_unit_test(deferred_work_runs_after_the_turn_even_without_events),
		cmocka_unit_test(what_is_deferred_last_runs_when_the_loop_is_freed),
		cmocka_unit_test(timers_fire_and_time_moves_on),
		cmocka_unit_test(a_loop_stopped_before_it_runs_returns_at_once),
		cmocka_unit_test(its_thread_is_named_and_leaves_signals_to_the_main_thread),
		cmocka_unit_test(what_libevent_says_is_a_line_of_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
