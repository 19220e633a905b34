/*
 * redis_greet.c - the first commands on a connection: AUTH, SELECT, and INFO for the server's run: its process, and the history
 * of writes that it is at, which has a new name whenever a replica is made the primary.
 */
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "redis_impl.h"

static void greeting_failed(struct redis *r, const char *step, const struct redis_reply *reply)
{
	struct span text = redis_reply_is(reply, REDIS_REPLY_ERROR) ? redis_reply_text(reply) : span_str("an unexpected answer");
	char why[160];

	if (r->state == REDIS_CLOSED) /* the reply is NULL because of that */
		return;
	snprintf(why, sizeof(why), "%s refused: " SPAN_FMT, step, (int)(text.len < 120 ? text.len : 120), text.p);
	redis_close(r, why);
}

static void on_ok(struct redis *r, const char *step, struct redis_reply *reply)
{
	if (!redis_reply_is(reply, REDIS_REPLY_STATUS))
		greeting_failed(r, step, reply);
	redis_reply_free(reply);
}

static void on_auth(void *arg, struct redis_reply *reply)
{
	on_ok(arg, "AUTH", reply);
}

static void on_select(void *arg, struct redis_reply *reply)
{
	on_ok(arg, "SELECT", reply);
}

/* A hash of what the field holds; 0: it is not there, or empty. */
static uint64_t field_of(const struct redis_reply *reply, struct span field)
{
	const char *at, *end;
	uint64_t h;

	if (!redis_reply_is(reply, REDIS_REPLY_STRING))
		return 0;
	at = memmem(reply->str, reply->len, field.p, field.len);
	if (!at)
		return 0;
	at += field.len;
	end = at + strcspn(at, "\r\n");
	if (end == at)
		return 0;
	h = XXH3_64bits(at, (size_t)(end - at));
	return h ? h : 1;
}

static uint64_t history_of(const struct redis_reply *reply)
{
	return field_of(reply, span_str("\nmaster_replid:")); /* 0: a server that knows no replicas */
}

static void on_process(void *arg, struct redis_reply *reply)
{
	struct redis *r = arg;

	r->process = field_of(reply, span_str("\nrun_id:"));
	if (r->process == 0)
		greeting_failed(r, "INFO", reply);
	redis_reply_free(reply);
}

static void on_history(void *arg, struct redis_reply *reply)
{
	struct redis *r = arg;

	if (!redis_reply_is(reply, REDIS_REPLY_STRING)) {
		greeting_failed(r, "INFO", reply);
	} else {
		const uint64_t both[2] = {r->process, r->history = history_of(reply)};
		uint64_t run = XXH3_64bits(both, sizeof(both));

		r->run = run ? run : 1;
		r->state = REDIS_UP;
		r->out.wipes = false;
		r->budget.max = r->opt.reply_max;
		event_del(r->limit);
		r->opt.ops->up(r->opt.arg);
	}
	redis_reply_free(reply);
}

enum rc redis_greet(struct redis *r)
{
	const struct redis_url *u = r->opt.url;
	struct span auth[3] = {span_str("AUTH")}, argv[2];
	unsigned n = 1;
	char db[16];

	r->out.wipes = true;
	if (u->password) {
		if (u->user)
			auth[n++] = span_str(u->user);
		auth[n++] = secret_text(u->password);
		if (redis_send_now(r, n, auth, on_auth, r) != RC_OK)
			return RC_ERROR;
	}
	if (u->db) {
		argv[0] = span_str("SELECT");
		argv[1] = span_of(db, (size_t)snprintf(db, sizeof(db), "%u", u->db));
		if (redis_send_now(r, 2, argv, on_select, r) != RC_OK)
			return RC_ERROR;
	}
	argv[0] = span_str("INFO");
	argv[1] = span_str("server");
	if (redis_send_now(r, 2, argv, on_process, r) != RC_OK)
		return RC_ERROR;
	argv[1] = span_str("replication");
	return redis_send_now(r, 2, argv, on_history, r);
}

static void on_history_again(void *arg, struct redis_reply *reply)
{
	struct redis *r = arg;

	if (reply && history_of(reply) != r->history)
		redis_close(r, "the server has become a replica, or a primary, since");
	redis_reply_free(reply);
}

enum rc redis_check_run(struct redis *r)
{
	return redis_send(r, 2, (const struct span[]){span_str("INFO"), span_str("replication")}, on_history_again, r);
}
