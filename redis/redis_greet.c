/*
 * redis_greet.c - the first commands on a connection: AUTH, SELECT, and INFO for the server's run id.
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

static uint64_t run_of(const struct redis_reply *reply)
{
	static const char field[] = "\nrun_id:";
	const char *at, *end;
	uint64_t h;

	if (!redis_reply_is(reply, REDIS_REPLY_STRING))
		return 0;
	at = memmem(reply->str, reply->len, field, sizeof(field) - 1);
	if (!at)
		return 0;
	at += sizeof(field) - 1;
	end = at + strcspn(at, "\r\n");
	if (end == at)
		return 0;
	h = XXH3_64bits(at, (size_t)(end - at));
	return h ? h : 1;
}

static void on_info(void *arg, struct redis_reply *reply)
{
	struct redis *r = arg;
	uint64_t run = run_of(reply);

	if (run == 0) {
		greeting_failed(r, "INFO", reply);
	} else {
		r->run = run;
		r->state = REDIS_UP;
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
	return redis_send_now(r, 2, argv, on_info, r);
}
