/*
 * cli_top.h - one frame of `suimon top`, made of the answers of the API. Pure: tested without an instance.
 */
#ifndef SUIMON_CLI_TOP_H
#define SUIMON_CLI_TOP_H

#include <jansson.h>

#include "iobuf.h"
#include "rc.h"

/* What an instance said; owned references, any of them NULL where it did not answer. */
struct top_answers {
	json_t *overview, *queries, *findings, *backends, *cache, *queue;
};
void top_answers_reset(struct top_answers *a);

struct top_view {
	const struct top_answers *now, *then; /* rates are taken between them; then->overview NULL: since start */
	const char *where;                    /* address of the instance */
	const char *problem;                  /* NULL, or why it did not answer */
	const char *sort;                     /* what queries are sorted by */
	const char *user, *schema;            /* whose these are, and where; NULL: any */
	size_t width, height;                 /* characters, lines */
};
/* Appends at most height lines of at most width characters, each ended by a line end, without control characters. */
enum rc top_frame(struct iobuf *out, const struct top_view *v) must_check;

#endif
