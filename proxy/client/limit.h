/*
 * limit.h - gates: how many statements of a kind run at one time, and how many a second; who comes too many waits in line.
 *
 * A gate belongs to a rule of `limits`, or to one account, digest or client of it. It exists while somebody is in or before
 * it, or has been so lately that its rate still counts; all workers share the table under one lock, which only statements
 * that a rule matches take.
 *
 *   limit_enter → in (RC_OK), or in line (RC_AGAIN), in order → limit_leave lets the next one in
 */
#ifndef SUIMON_LIMIT_H
#define SUIMON_LIMIT_H

#include <stdint.h>

#include "list.h"
#include "loop.h"
#include "rc.h"

#define LIMIT_GATES_MOST 10000 /* kept; beyond, one that nobody uses makes room, however lately it was used */

struct limits;
struct limit_gate;

struct limit_terms {
	uint64_t concurrency; /* at one time; 0: any number */
	uint64_t rate;        /* a second; 0: any number. A second's worth may come at once */
};

struct limit_waiter {
	struct mail mail;        /* run() is the caller's: posted when it is in */
	struct loop *loop;
	struct list_node node;
	struct limit_gate *gate; /* before which it stands, or in which it is */
};

struct limits *limits_new(void) must_check; /* NULL: out of memory */
void limits_free(struct limits *l);         /* NULL is allowed; nobody is in a gate */

/* Any thread, all of them. key: names the gate. now_ns: monotonic. RC_OK: in; w->gate is to be left. RC_AGAIN: in line, w is
 * posted. RC_ERROR: no memory: not counted. */
enum rc limit_enter(struct limits *l, uint64_t key, const struct limit_terms *terms, struct limit_waiter *w, uint64_t now_ns) must_check;
/* True: it stood in line, and will not be posted. Else its mail is on its way, and it is in. */
bool limit_cancel(struct limits *l, struct limit_waiter *w) must_check;
void limit_leave(struct limits *l, struct limit_gate *g, uint64_t now_ns);
void limits_tick(struct limits *l, uint64_t now_ns); /* those whom only the rate holds back */
uint64_t limits_waiting(const struct limits *l);     /* in line, before all gates */
size_t limits_gates(struct limits *l);               /* that are kept */

#endif
