#include "fleet_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "clock.h"
#include "mem.h"
#include "settings.h"

#define REPLY_MAX (CONF_MAX_BYTES + 64 * 1024)
#define OUTPUT_MAX (CONF_MAX_BYTES + 64 * 1024)

static const char foreign_text[] = "the key holds something that suimon has not written: remove it (DEL), then push again";

/* KEYS: the hash. ARGV: the version that is expected or "", document, sum, about, how many versions are kept. */
static const char put_script[] =
	"local v = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')\n"
	"if not v or (ARGV[1] ~= '' and ARGV[1] ~= string.format('%.0f', v)) then return {0, string.format('%.0f', v or -1)} end\n"
	"v = v + 1\n"
	"local n = string.format('%.0f', v)\n"
	"redis.call('HSET', KEYS[1], 'version', n, 'sum', ARGV[3], 'doc.' .. n, ARGV[2], 'about.' .. n, ARGV[4])\n"
	"local old = string.format('%.0f', v - tonumber(ARGV[5]))\n"
	"redis.call('HDEL', KEYS[1], 'doc.' .. old, 'about.' .. old)\n"
	"return {1, n}";

void fleet_store_sum(struct span text, char out[FLEET_STORE_SUM])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	out[0] = '\0';
	if (EVP_Digest(text.len ? text.p : "", text.len, md, &len, EVP_sha256(), NULL) != 1)
		return;
	for (unsigned i = 0; i < len && i * 2 + 2 < FLEET_STORE_SUM; i++)
		(void)snprintf(out + (size_t)i * 2, 3, "%02x", md[i]);
}

/* ---- answers ---- */

static void answer(struct fleet_store *st, struct fleet_store_answer a)
{
	a.to = st->asked == FLEET_STORE_SIZE ? FLEET_STORE_GET : st->asked;
	st->asked = FLEET_STORE_NOTHING;
	st->hooks->answer(st->hooks->arg, &a);
}

static void fail(struct fleet_store *st, const char *why)
{
	answer(st, (struct fleet_store_answer){.rc = RC_ERROR, .why = why});
}

static enum rc take_version(const struct redis_reply *r, uint64_t *out)
{
	uint64_t v = 0;

	*out = 0;
	if (redis_reply_is(r, REDIS_REPLY_NIL))
		return RC_OK;
	if (!redis_reply_is(r, REDIS_REPLY_STRING) || r->len == 0 || r->len > 16)
		return RC_ERROR;
	for (size_t i = 0; i < r->len; i++) {
		if (r->str[i] < '0' || r->str[i] > '9')
			return RC_ERROR;
		v = v * 10 + (uint64_t)(r->str[i] - '0');
	}
	*out = v;
	return v <= FLEET_STORE_VERSION_MAX ? RC_OK : RC_ERROR;
}

static bool is_sum(struct span s)
{
	if (s.len != FLEET_STORE_SUM - 1)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

/* version and sum at the head of a reply of n elements. */
static enum rc take_head(const struct redis_reply *r, size_t n, struct fleet_store_answer *a)
{
	if (!redis_reply_is(r, REDIS_REPLY_ARRAY) || r->n != n || take_version(r->element[0], &a->version) != RC_OK)
		return RC_ERROR;
	if (redis_reply_is(r->element[1], REDIS_REPLY_STRING) && is_sum(redis_reply_text(r->element[1])))
		a->sum = redis_reply_text(r->element[1]);
	return RC_OK;
}

static void answer_text(struct fleet_store *st, const struct redis_reply *r, struct fleet_store_answer a)
{
	if (redis_reply_is(r, REDIS_REPLY_STRING))
		a.text = redis_reply_text(r);
	else
		a.rc = RC_DECLINED;
	answer(st, a);
}

static enum rc send_get(struct fleet_store *st);

static void on_size(struct fleet_store *st, const struct redis_reply *r)
{
	if (!redis_reply_is(r, REDIS_REPLY_INTEGER))
		fail(st, foreign_text);
	else if (r->integer > CONF_MAX_BYTES)
		answer(st, (struct fleet_store_answer){.rc = RC_ERROR, .too_large = true, .why = "the document is larger than 1 MiB"});
	else if (send_get(st) != RC_OK)
		fail(st, "out of memory");
}

static void on_put(struct fleet_store *st, const struct redis_reply *r)
{
	struct fleet_store_answer a = {.rc = RC_OK};

	if (!redis_reply_is(r, REDIS_REPLY_ARRAY) || r->n != 2 || !redis_reply_is(r->element[0], REDIS_REPLY_INTEGER) ||
	    take_version(r->element[1], &a.version) != RC_OK) {
		fail(st, foreign_text);
		return;
	}
	a.rc = r->element[0]->integer == 1 ? RC_OK : RC_DECLINED;
	answer(st, a);
}

static void on_good(struct fleet_store *st, const struct redis_reply *r)
{
	struct fleet_store_answer a = {.rc = RC_OK};

	if (st->asked == FLEET_STORE_SIZE) {
		on_size(st, r);
	} else if (st->asked == FLEET_STORE_PUT) {
		on_put(st, r);
	} else if (take_head(r, st->asked == FLEET_STORE_HEAD ? 2 : 3, &a) != RC_OK) {
		fail(st, foreign_text);
	} else if (st->asked == FLEET_STORE_HEAD) {
		answer(st, a);
	} else {
		answer_text(st, r->element[2], a);
	}
}

static void on_reply(void *arg, struct redis_reply *reply)
{
	struct fleet_store *st = arg;

	if (st->asked == FLEET_STORE_NOTHING)
		; /* it is being taken down */
	else if (!reply)
		answer(st, (struct fleet_store_answer){.rc = RC_AGAIN, .lost = true});
	else if (!redis_reply_is(reply, REDIS_REPLY_ERROR))
		on_good(st, reply);
	else if (redislink_follow(&st->link, redis_reply_text(reply)))
		answer(st, (struct fleet_store_answer){.rc = RC_AGAIN});
	else
		fail(st, reply->str);
	redis_reply_free(reply);
}

/* ---- questions ---- */

static enum rc step(struct fleet_store *st, enum fleet_store_question q, unsigned argc, const struct span *argv)
{
	enum rc rc = redis_send(st->link.conn, argc, argv, on_reply, st);
	if (rc != RC_OK)
		return rc;
	st->asked = q;
	st->asked_ns = clock_mono_ns();
	return RC_OK;
}

/* The first step of a question. */
static enum rc ask(struct fleet_store *st, enum fleet_store_question q, unsigned argc, const struct span *argv)
{
	return st->asked == FLEET_STORE_NOTHING ? step(st, q, argc, argv) : RC_DECLINED;
}

enum rc fleet_store_head(struct fleet_store *st)
{
	return ask(st, FLEET_STORE_HEAD, 4, (const struct span[]){span_str("HMGET"), span_str(st->key), span_str("version"), span_str("sum")});
}

/* With what is current, so that all of it is of one moment. */
static enum rc send_field(struct fleet_store *st, enum fleet_store_question q, const char *what, uint64_t version)
{
	char field[40];

	(void)snprintf(field, sizeof(field), "%s.%" PRIu64, what, version);
	return step(st, q, 5, (const struct span[]){span_str("HMGET"), span_str(st->key), span_str("version"), span_str("sum"), span_str(field)});
}

static enum rc send_get(struct fleet_store *st)
{
	return send_field(st, FLEET_STORE_GET, "doc", st->wanted);
}

/* Its size first: whoever writes there can write anything. */
enum rc fleet_store_get(struct fleet_store *st, uint64_t version)
{
	char field[40];

	if (st->asked != FLEET_STORE_NOTHING)
		return RC_DECLINED;
	st->wanted = version;
	(void)snprintf(field, sizeof(field), "doc.%" PRIu64, version);
	return step(st, FLEET_STORE_SIZE, 3, (const struct span[]){span_str("HSTRLEN"), span_str(st->key), span_str(field)});
}

enum rc fleet_store_about(struct fleet_store *st, uint64_t version)
{
	return st->asked == FLEET_STORE_NOTHING ? send_field(st, FLEET_STORE_ABOUT, "about", version) : RC_DECLINED;
}

enum rc fleet_store_put(struct fleet_store *st, uint64_t expect, struct span text, struct span about)
{
	char sum[FLEET_STORE_SUM], kept[8], expected[24] = "";

	if (expect != FLEET_STORE_ANY)
		(void)snprintf(expected, sizeof(expected), "%" PRIu64, expect);
	(void)snprintf(kept, sizeof(kept), "%d", FLEET_STORE_KEPT);
	fleet_store_sum(text, sum);
	if (!sum[0])
		return RC_ERROR;
	return ask(st, FLEET_STORE_PUT, 9,
		   (const struct span[]){span_str("EVAL"), span_str(put_script), span_str("1"), span_str(st->key), span_str(expected), text,
					 span_str(sum), about, span_str(kept)});
}

uint64_t fleet_store_waiting_ns(const struct fleet_store *st)
{
	return st->asked == FLEET_STORE_NOTHING ? 0 : clock_mono_ns() - st->asked_ns + 1;
}

void fleet_store_give_up(struct fleet_store *st)
{
	redislink_again(&st->link, "no answer in time");
}

/* ---- life ---- */

static void on_up(void *arg)
{
	struct fleet_store *st = arg;

	st->hooks->up(st->hooks->arg);
}

static void on_down(void *arg)
{
	struct fleet_store *st = arg;

	st->hooks->down(st->hooks->arg);
}

static const struct redislink_ops link_ops = {.up = on_up, .down = on_down};

static enum rc parse(struct fleet_store *st, const char *source, char *why, size_t cap)
{
	char *url;
	enum rc rc = settings_source_split(source, &url, &st->key);

	if (rc != RC_OK) {
		(void)snprintf(why, cap, "%s", rc == RC_ERROR ? "out of memory" : "no URL of Redis with a key");
		return RC_ERROR;
	}
	rc = redis_url_parse(url, &st->url, why, cap);
	secret_wipe(url, strlen(url));
	mem_free(url);
	return rc == RC_OK ? redis_url_secure(&st->url, why, cap) : rc;
}

enum rc fleet_store_init(struct fleet_store *st, struct loop *loop, const char *source, const struct fleet_store_hooks *hooks, char *why,
			 size_t cap)
{
	*st = (struct fleet_store){.hooks = hooks};
	if (parse(st, source, why, cap) != RC_OK)
		return RC_ERROR;
	(void)snprintf(why, cap, "out of memory");
	return redislink_init(&st->link, "config", loop, &st->url, &link_ops, st, REPLY_MAX, OUTPUT_MAX);
}

void fleet_store_open(struct fleet_store *st)
{
	redislink_open(&st->link);
}

void fleet_store_reset(struct fleet_store *st)
{
	st->asked = FLEET_STORE_NOTHING;
	redislink_reset(&st->link);
	redis_url_reset(&st->url);
	mem_free(st->key);
	st->key = NULL;
}
