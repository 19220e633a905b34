/*
 * lease_left.c - what a statement has left that only its connection knows is asked of it before it is anybody else's.
 */
#include "lease_impl.h"

#include "result.h"

#define ANSWER_MOST 2048

bool lease_ask(struct upstream *u)
{
	struct lease_backend *lb = lease_place(u->pool, u->backend);
	struct timeval tv = {.tv_sec = 5};

	if (likely(!u->park || !u->park->sole))
		return false;
	list_remove(&lb->idle, &u->node);
	list_push_back(&lb->busy, &u->node);
	u->state = UPSTREAM_ASKED;
	u->keep = false;
	iobuf_init(&u->answer, ANSWER_MOST);
	evtimer_add(&u->timer, &tv);
	if (upstream_query(u, span_str("SELECT FOUND_ROWS(),ROW_COUNT(),LAST_INSERT_ID()")) != RC_OK)
		upstream_close(u, "connection lost when it was asked what it knows");
	return true;
}

void lease_close_idle(struct upstream *u, const char *why)
{
	if (!lease_ask(u))
		upstream_close(u, why);
}

bool lease_awaits_answer(const struct lease_request *r)
{
	const struct upstream *u = r->park ? r->park->u : NULL;

	return u && u->state == UPSTREAM_ASKED && (r->asks_first || u->backend == r->backend);
}

void lease_ask_first(const struct lease_request *r)
{
	struct upstream *u = r->park ? r->park->u : NULL;

	if (r->asks_first && u && u->state == UPSTREAM_IDLE && (u->backend != r->backend || r->fresh) && !r->parked_only)
		(void)!lease_ask(u);
}

void lease_left_piece(struct upstream *u, const struct track_piece *piece)
{
	if (piece->kind == TRACK_BYTES || piece->kind == TRACK_MIDDLE_EOF)
		(void)!iobuf_append(&u->answer, piece->p, piece->len); /* what is cut short is no answer */
}

struct answer { struct lease_park *park; unsigned values; };

static void take_value(void *arg, struct span text)
{
	struct answer *a = arg;
	bool negative = text.len && text.p[0] == '-';
	uint64_t n = 0;

	for (size_t i = negative; i < text.len; i++)
		n = 10 * n + (uint64_t)(text.p[i] - '0');
	switch (a->values++) {
	case 0:
		a->park->found = n;
		break;
	case 1:
		a->park->count = (int64_t)(negative ? 0 - n : n);
		break;
	default:
		a->park->insert_id = n;
	}
}

void lease_left_done(struct upstream *u)
{
	struct answer a = {.park = u->park};

	if (a.park && a.park->sole) {
		if (!u->track.error)
			result_each_value(span_of(iobuf_data(&u->answer), iobuf_len(&u->answer)), u->caps, false, take_value, &a);
		a.park->told = a.values == 3;
		if (a.park->told)
			u->insert_id = a.park->insert_id; /* whosever it is */
		a.park->sole = false;
	}
	if (u->track.warnings || u->track.error) /* of the question: no session is to be shown them */
		u->warnings_of = UPSTREAM_NOBODY;
	iobuf_reset(&u->answer);
	lease_ready(u);
	u->pool->unopened = true;
	lease_serve_soon(u->pool);
}
