/*
 * deadtable.h - the dead letters of a queue that several processes apply: in the database, committed with the position of their
 * records, so that a letter is there exactly when its record was passed, whoever passed it, and every process sees it.
 *
 * A letter that is tried again is deleted in the transaction of the record that does.
 */
#ifndef SUIMON_DEADTABLE_H
#define SUIMON_DEADTABLE_H

#include <stdatomic.h>

#include "dbconn.h"
#include "dead.h"
#include "position.h"

struct deadtable {
	char id_hex[2 * QUEUE_ID_BYTES + 1];
	struct queue_hooks hooks; /* where the database is */
	pthread_mutex_t lock;     /* guards desk */
	struct dbconn desk;       /* for people's requests */
	_Atomic uint64_t waiting; /* as last counted */
	bool told_missing;        /* the log has been told; of the one thread that prepares */
};

void deadtable_init(struct deadtable *t, const char *id_hex, const struct queue_hooks *hooks);
void deadtable_destroy(struct deadtable *t);

/* On the connection of a transaction. RC_ERROR: its code and error. */
enum rc deadtable_add(struct deadtable *t, struct dbconn *c, const struct dead_letter *letters, size_t n) must_check;
/* The letter is tried again here and now. RC_DECLINED: it is not there any more. */
enum rc deadtable_claim(struct deadtable *t, struct dbconn *c, uint64_t id) must_check;

/* Makes the table if it is missing and may be made, else logs its statement; counts. RC_ERROR: the connection is gone. */
enum rc deadtable_prepare(struct deadtable *t, struct dbconn *c) must_check;
enum rc deadtable_count(struct deadtable *t, struct dbconn *c) must_check;

/* For people, over a connection of their own: may wait for the database. */
enum rc deadtable_each(struct deadtable *t, uint64_t from_id, unsigned limit, dead_fn fn, void *arg) must_check;
/* retried: not shown for a minute, until the record that tries it again is applied; else it is deleted. RC_DECLINED: no
 * such letter. */
enum rc deadtable_mark(struct deadtable *t, uint64_t id, bool retried) must_check;

#endif
