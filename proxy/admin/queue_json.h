/*
 * queue_json.h - the queue's numbers and records as JSON: for /api/queue and for a stopped instance's directory.
 */
#ifndef SUIMON_QUEUE_JSON_H
#define SUIMON_QUEUE_JSON_H

#include "jsonw.h"
#include "queue.h"

#define QUEUE_JSON_STATEMENT 4096 /* bytes shown of a statement in a list */

/* The members of an object that the caller has opened. NULL: no queue, all zero and "off". */
void queue_json_totals(struct jsonw *w, const struct queue_totals *t);

struct queue_json_list {
	struct jsonw *w;
	bool samples;          /* statements, the server's error texts and environments may be shown: they hold values */
	size_t statement_most; /* bytes */
	unsigned shown;
	uint64_t only;         /* if not 0: this dead letter's id or this record's seq alone */
};
/* A queue_view_fn; arg is a struct queue_json_list. */
void queue_json_view(void *arg, const struct queue_view *v);

#endif
