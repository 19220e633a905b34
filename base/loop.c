/*
 * loop.c - a turn is: wait for events, run their callbacks (the mailbox is one of them), run what was deferred.
 *
 * The mailbox is a lock-free stack that senders push onto and the loop takes whole and reverses, so a sender never
 * waits for a receiver. Only the sender that finds it empty wakes the loop: a burst of mails costs one write(2).
 */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"

struct loop {
	const char *name;
	struct event_base *base; /* owned */
	struct event *wake;      /* owned; reads wake_fd */
	int wake_fd;
	_Atomic(struct mail *) inbox; /* newest first */
	struct mail *deferred;        /* oldest first */
	struct mail **deferred_end;
	uint64_t now_ns; /* 0 = not read yet in this turn */
	atomic_bool stop;
	bool started; /* loop_start's thread has not been joined yet */
	pthread_t thread;
};

static void on_library_line(int severity, const char *text)
{
	char quoted[300];

	(void)log_quote(quoted, sizeof(quoted), span_str(text));
	if (severity >= EVENT_LOG_ERR)
		log_error("loop", "libevent has an error", "message=%s", quoted);
	else if (severity == EVENT_LOG_WARN)
		log_warn("loop", "libevent warns", "message=%s", quoted);
	else
		log_debug("loop", "libevent says", "message=%s", quoted);
}

void loop_library_log(void)
{
	event_set_log_callback(on_library_line);
}

static void run_mails(struct mail *first)
{
	for (struct mail *m = first, *next; m; m = next) {
		next = m->next; /* run() may free the mail, or post it anew */
		m->run(m);
	}
}

static void take_inbox(struct loop *loop)
{
	struct mail *newest = atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire), *oldest = NULL;

	while (newest) {
		struct mail *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	run_mails(oldest);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	/* Emptied before the inbox is taken, so that whoever posts after that wakes the loop again. */
	if (read((int)fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
		log_fatal("loop", "cannot read the wake-up descriptor", "errno=%d", errno);
	take_inbox(arg);
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN would mean that the counter is full, and then it is readable anyway. */
	while (write(loop->wake_fd, &one, sizeof(one)) < 0) {
		if (errno == EAGAIN)
			return;
		if (errno != EINTR)
			log_fatal("loop", "cannot write the wake-up descriptor", "errno=%d", errno);
	}
}

/* No lock: nobody but the mailbox, which has none, crosses threads. */
static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

struct loop *loop_new(const char *name)
{
	struct loop *loop = mem_zalloc(sizeof(*loop));

	if (!loop)
		return NULL;
	loop->name = name;
	loop->deferred_end = &loop->deferred;
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->base = base_new();
	if (loop->base && loop->wake_fd >= 0)
		loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	if (!loop->wake || event_add(loop->wake, NULL) != 0) {
		loop_free(loop);
		return NULL;
	}
	return loop;
}

static void run_deferred(struct loop *loop)
{
	struct mail *first = loop->deferred;

	loop->deferred = NULL;
	loop->deferred_end = &loop->deferred;
	run_mails(first);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->started);
	/* What was deferred frees memory, and may do so through this loop's events. */
	while (loop->deferred)
		run_deferred(loop);
	if (loop->wake)
		event_free(loop->wake);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	mem_free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

int loop_run(struct loop *loop)
{
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
		loop->now_ns = 0;
		/* What the deferred themselves deferred must not wait for the next event. */
		if (event_base_loop(loop->base, EVLOOP_ONCE | (loop->deferred ? EVLOOP_NONBLOCK : 0)) < 0) {
			log_error("loop", "the event loop failed", "loop=%s errno=%d", loop->name, errno);
			return -1;
		}
		run_deferred(loop);
	}
	take_inbox(loop); /* what its sender posted before it called loop_stop */
	while (loop->deferred)
		run_deferred(loop);
	return 0;
}

static void *thread_main(void *arg)
{
	struct loop *loop = arg;

	if (loop_run(loop) != 0)
		log_fatal("loop", "a thread lost its event loop", "loop=%s", loop->name);
	return NULL;
}

enum rc loop_start(struct loop *loop)
{
	char name[16] = "";
	int err;

	assert(!loop->started);
	err = sigthread_create(&loop->thread, NULL, thread_main, loop);
	if (err) {
		log_error("loop", "cannot start a thread", "loop=%s errno=%d", loop->name, err);
		return RC_ERROR;
	}
	loop->started = true;
	memcpy(name, loop->name, strnlen(loop->name, sizeof(name) - 1));
	(void)pthread_setname_np(loop->thread, name);
	return RC_OK;
}

void loop_stop(struct loop *loop)
{
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	wake(loop);
}

void loop_join(struct loop *loop)
{
	if (!loop->started)
		return;
	pthread_join(loop->thread, NULL);
	loop->started = false;
}

void loop_post(struct loop *loop, struct mail *mail)
{
	struct mail *newest = atomic_load_explicit(&loop->inbox, memory_order_relaxed);

	do
		mail->next = newest;
	while (!atomic_compare_exchange_weak_explicit(&loop->inbox, &newest, mail, memory_order_release,
						      memory_order_relaxed));
	if (!newest)
		wake(loop);
}

uint64_t loop_now_ns(struct loop *loop)
{
	if (loop->now_ns == 0)
		loop->now_ns = clock_mono_ns();
	return loop->now_ns;
}

void loop_defer(struct loop *loop, struct mail *mail)
{
	mail->next = NULL;
	*loop->deferred_end = mail;
	loop->deferred_end = &mail->next;
}
