/*
 * pieces.h - statements that were sent together in one text: what each of them has returned, so that the statistics can
 * count them one by one, as the server does.
 */
#ifndef SUIMON_PIECES_H
#define SUIMON_PIECES_H

#include "stats.h"

struct request;
struct pieces;

/* One of several results is here and passed on, others follow. Out of memory, or of what is kept: the text counts as one statement. */
void pieces_result(struct request *r);
void pieces_free(struct pieces *p); /* NULL is allowed */

/* Counts each statement of the text, whose event is whole. RC_DECLINED: it is one, or which result is whose cannot be told. */
enum rc pieces_count(struct request *r, const struct stats_event *whole) must_check;

#endif
