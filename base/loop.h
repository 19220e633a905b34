/*
 * loop.h - one libevent loop a thread, and the mailbox through which other threads reach it.
 *
 * The only way from one thread into another's data is loop_post: the mail's function runs on the loop's thread.
 * A mail is embedded in what it carries; the sender gives it away until run() has been called.
 */
#ifndef SUIMON_LOOP_H
#define SUIMON_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <event2/event.h>

#include "rc.h"

struct loop;

void loop_library_log(void); /* what libevent itself has to say goes into the log, not to stderr as it likes; before any loop */

struct mail {
	struct mail *next;
	void (*run)(struct mail *mail); /* runs on the receiving loop's thread, once */
};

/* name: a literal, becomes the thread's name (15 bytes). NULL: could not be made. */
struct loop *loop_new(const char *name) must_check;
void loop_free(struct loop *loop); /* after its thread and all who post to it have ended; mails not run are dropped */
/* For events of one's own. libevent reads a coarse clock: a timer may come a few milliseconds early or late. */
struct event_base *loop_base(struct loop *loop);
enum rc loop_start(struct loop *loop) must_check; /* runs it on a thread of its own (signals blocked there) */
int loop_run(struct loop *loop); /* or runs it on this thread, until loop_stop; 0, or -1 when libevent fails (logged) */
void loop_stop(struct loop *loop);                    /* from any thread */
void loop_join(struct loop *loop);                    /* waits for loop_start's thread */
void loop_post(struct loop *loop, struct mail *mail); /* from any thread; never fails, in order for one sender */
uint64_t loop_now_ns(struct loop *loop);              /* monotonic, read once a wake-up; this thread only */

/* Runs run() after the current turn of this loop (for freeing what a callback is still using). This thread only. */
void loop_defer(struct loop *loop, struct mail *mail);

#endif
