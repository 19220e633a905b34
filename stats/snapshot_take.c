/*
 * snapshot_take.c - the bytes of a snapshot back into the statistics. Whoever wrote the file may have been anybody: all of it
 * is read twice, first without effect, so that a file that is wrong anywhere changes nothing (F2).
 */
#include "snapshot.h"

#include <xxhash.h>

#include "costs.h"
#include "mbuf.h"
#include "mem.h"
#include "predict.h"

#define VERB_MAX 64
#define TIMES_MOST (UINT64_C(1) << 44) /* a record has more than 2^7 bytes, a file 2^26 */

/* A record being read: after the first fault all reads give nothing. */
struct take {
	struct stats_sink *k; /* NULL: only looking whether it is right */
	struct stats *s;
	struct mbuf m;
	enum rc rc; /* RC_DECLINED: it is not right; RC_ERROR: no memory */
};

static void wrong(struct take *t)
{
	if (t->rc == RC_OK)
		t->rc = RC_DECLINED;
}

static uint64_t number(struct take *t, unsigned width)
{
	uint64_t v = 0;

	if (t->rc == RC_OK && mbuf_uint(&t->m, width, &v) != RC_OK)
		wrong(t);
	return v;
}

/* What adds up: more than this was never counted, and sums of it must not wrap. */
static uint64_t amount(struct take *t)
{
	uint64_t v = number(t, 8);

	if (v > INT64_MAX)
		wrong(t);
	return t->rc == RC_OK ? v : 0;
}

/* How often: it is divided by, so that what all records of a file have together must not wrap either, to nought. */
static uint64_t times(struct take *t)
{
	uint64_t v = number(t, 8);

	if (v > TIMES_MOST)
		wrong(t);
	return t->rc == RC_OK ? v : 0;
}

static bool yes(struct take *t)
{
	uint64_t v = number(t, 1);

	if (v > 1)
		wrong(t);
	return v;
}

static struct span any_bytes(struct take *t, size_t most)
{
	uint64_t len = number(t, 4);
	struct span v = span_of("", 0);

	if (t->rc == RC_OK && (len > most || mbuf_bytes(&t->m, len, &v) != RC_OK))
		wrong(t);
	return t->rc == RC_OK ? v : span_of("", 0);
}

static struct span text(struct take *t, size_t most)
{
	struct span v = any_bytes(t, most);

	if (v.len && memchr(v.p, 0, v.len))
		wrong(t);
	return t->rc == RC_OK ? v : span_of("", 0);
}

static uint64_t moment(struct take *t)
{
	return stats_mono_ns(t->s, number(t, 8));
}

static void take_meta(struct take *t)
{
	uint64_t since = amount(t), before = amount(t);

	if (t->rc != RC_OK || !t->k)
		return;
	t->s->since_us = since < t->s->wall_us ? since : t->s->wall_us;
	t->s->before_ns = before;
}

/* ---- rows ---- */

static void take_hist(struct take *t, struct hist *h)
{
	uint64_t n;

	stats_set(&h->count, amount(t));
	stats_set(&h->sum_ns, amount(t));
	stats_set(&h->max_ns, amount(t));
	n = number(t, 4);
	if (n > HIST_BUCKETS)
		wrong(t);
	for (uint64_t i = 0; i < n && t->rc == RC_OK; i++) {
		uint64_t at = number(t, 4), have = number(t, 4);

		if (at >= HIST_BUCKETS)
			wrong(t);
		else if (t->rc == RC_OK && hist_bucket_add(h, (unsigned)at, (uint32_t)have) != RC_OK)
			t->rc = RC_ERROR;
	}
}

static void take_names(struct take *t, struct stats_row_tag *tags, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		struct span name = text(t, STATS_TAG_MAX);
		uint64_t n = amount(t);

		if (t->rc == RC_OK && name.len)
			stats_row_name(tags, most, name, map_hash(name.p, name.len), n);
	}
}

static void take_row(struct take *t, struct stats_row *r)
{
	for (unsigned i = 0; i < STATS_NUMBERS; i++)
		stats_set(&r->n[i], i == STATS_N_CALLS ? times(t) : amount(t));
	stats_set(&r->min_ns, number(t, 8));
	stats_set(&r->max_ns, amount(t));
	stats_set(&r->first_ns, moment(t));
	stats_set(&r->last_ns, moment(t));
	for (unsigned i = 0; i < STATS_ERRORS; i++) {
		uint32_t code = (uint32_t)number(t, 4);
		uint64_t n = amount(t);

		if (code && t->rc == RC_OK)
			stats_row_error(r, code, n);
	}
	take_names(t, r->tag, STATS_TAGS);
	take_names(t, r->server, STATS_SERVERS);
	take_hist(t, &r->hist);
	if (stats_get(&r->n[STATS_N_CALLS]) == 0)
		wrong(t);
}

static struct stats_sample *take_sample(struct take *t)
{
	uint64_t total, at, rows;
	struct stats_sample *m;
	struct span sql;
	bool cut;

	if (!yes(t))
		return NULL;
	total = amount(t);
	at = moment(t);
	rows = amount(t);
	cut = yes(t);
	sql = any_bytes(t, STATS_SAMPLE_MAX);
	if (t->rc != RC_OK)
		return NULL;
	m = stats_sample_new(sql);
	if (!m) {
		t->rc = RC_ERROR;
		return NULL;
	}
	m->total_ns = total;
	m->at_ns = at;
	m->rows_sent = rows;
	m->cut = cut;
	return m;
}

/* The text is normalised already. */
static void as_it_is(const struct stats_event *e, void *into)
{
	if (iobuf_append(into, e->text.p, e->text.len) != RC_OK)
		return; /* the row is named by its verb */
}

/* Was it a statement of which nothing but its verb is shown? */
static bool is_hidden(const struct stats_event *e)
{
	size_t verb = strlen(e->verb);

	return e->text.len == verb + 4 && memcmp(e->text.p, e->verb, verb) == 0 && memcmp(e->text.p + verb, " ...", 4) == 0;
}

static void add_row(struct take *t, struct stats_row *to, const struct stats_row *r)
{
	if (stats_row_fold(to, r) != RC_OK)
		t->rc = RC_ERROR;
	if (to->digest)
		stats_row_fold_names(to, r);
}

static void take_digest(struct take *t)
{
	struct stats_event e = {.normalise = as_it_is};
	struct stats_row *r = stats_row_new(NULL), *to;
	char verb[VERB_MAX + 1] = "";
	struct stats_sample *m;
	struct span name;

	if (!r) {
		t->rc = RC_ERROR;
		return;
	}
	e.digest = number(t, 8);
	e.is_read = yes(t);
	name = text(t, VERB_MAX);
	memcpy(verb, name.p, name.len);
	e.verb = verb;
	e.schema = text(t, STATS_NAME_MAX);
	e.user = text(t, STATS_NAME_MAX);
	e.table = text(t, STATS_NAME_MAX);
	e.text = text(t, STATS_TEXT_MAX);
	e.unsure_text = is_hidden(&e);
	take_row(t, r);
	m = take_sample(t);
	if (t->rc == RC_OK && t->k) {
		to = stats_table_row(t->k->table, stats_key(e.digest, e.schema, e.user), &e);
		add_row(t, to, r);
		if (to->digest && m) {
			stats_sample_put(t->s, to->digest, m);
			m = NULL;
		}
	}
	mem_free(m);
	stats_row_free(t->s, r);
}

static void take_other(struct take *t)
{
	struct stats_row *r = stats_row_new(NULL);

	if (!r) {
		t->rc = RC_ERROR;
		return;
	}
	take_row(t, r);
	if (t->rc == RC_OK && t->k)
		add_row(t, t->k->table->other, r);
	stats_row_free(t->s, r);
}

/* ---- what is not of one digest ---- */

static void take_loop(struct take *t)
{
	struct stats_loop l = {0};
	struct span route, framework;
	_Atomic uint64_t *n[] = {&l.occurrences, &l.queries,     &l.spent_ns, &l.parent_rows,
				 &l.overruns,    &l.max_repeats, &l.compared, &l.matched, &l.varied};

	l.parent = number(t, 8);
	l.child = number(t, 8);
	route = text(t, STATS_TAG_MAX);
	memcpy(l.route, route.p, route.len);
	framework = text(t, STATS_FRAMEWORK_MAX);
	memcpy(l.framework, framework.p, framework.len);
	for (unsigned i = 0; i < countof(n); i++)
		stats_set(n[i], amount(t));
	stats_set(&l.first_ns, moment(t));
	stats_set(&l.last_ns, moment(t));
	if (t->rc == RC_OK && t->k)
		stats_nplus1_add(t->k->table, &l);
}

static void take_spender(struct take *t)
{
	struct stats_event e = {.tag_service = text(t, STATS_TAG_MAX)};
	uint64_t n[STATS_SPENT_NUMBERS];

	e.tag_route = text(t, STATS_TAG_MAX);
	e.user = text(t, STATS_TAG_MAX);
	e.host = text(t, STATS_TAG_MAX);
	for (unsigned i = 0; i < STATS_SPENT_NUMBERS; i++)
		n[i] = amount(t);
	if (t->rc == RC_OK && t->k)
		stats_costs_put(t->k->table, &e, n);
}

static void take_advice(struct take *t)
{
	struct stats_index_advice a = {.digest = number(t, 8)};

	a.rows_examined = amount(t);
	a.rows_left = number(t, 8);
	a.covered = number(t, 1) != 0;
	a.table = text(t, STATS_NAME_MAX);
	a.columns = text(t, STATS_TEXT_MAX);
	a.reason = text(t, STATS_TEXT_MAX);
	a.fix_sql = text(t, STATS_TEXT_MAX);
	a.fix_text = text(t, STATS_TEXT_MAX);
	a.fix_statement = text(t, STATS_TEXT_MAX);
	a.path = text(t, STATS_NAME_MAX);
	a.plan_json = text(t, STATS_PLAN_MAX);
	if (t->rc == RC_OK && t->k)
		stats_put_advice(t->s, &a);
}

static void take_ghost(struct take *t)
{
	struct predict_sum sum = {0};
	uint64_t digest = number(t, 8);

	sum.reads = times(t);
	sum.read_ns = amount(t);
	sum.invalidated = times(t);
	for (unsigned i = 0; i < PREDICT_TTLS; i++) {
		sum.hits[i] = amount(t);
		sum.hit_ns[i] = amount(t);
		if (sum.hits[i] > sum.reads || sum.hit_ns[i] > sum.read_ns)
			wrong(t);
	}
	if (t->rc == RC_OK && t->k)
		predict_put(t->s, digest, &sum);
}

/* ---- the file ---- */

static void take_record(struct take *t, uint64_t kind)
{
	static void (*const of[])(struct take *t) = {
		[SNAPSHOT_META] = take_meta,       [SNAPSHOT_OTHER] = take_other,   [SNAPSHOT_LOOP] = take_loop,
		[SNAPSHOT_SPENDER] = take_spender, [SNAPSHOT_ADVICE] = take_advice, [SNAPSHOT_DIGEST] = take_digest,
		[SNAPSHOT_GHOST] = take_ghost,
	};

	if (kind < countof(of) && of[kind])
		of[kind](t);
	else
		wrong(t);
	if (mbuf_left(&t->m))
		wrong(t);
}

/* k NULL: is it right? */
static enum rc take_records(struct stats *s, struct stats_sink *k, struct span body)
{
	struct mbuf m = mbuf_of(body.p, body.len);

	while (mbuf_left(&m)) {
		struct take t = {.k = k, .s = s};
		uint64_t kind, len;
		struct span record;

		if (mbuf_uint(&m, 1, &kind) != RC_OK || mbuf_uint(&m, 4, &len) != RC_OK ||
		    mbuf_bytes(&m, len, &record) != RC_OK)
			return RC_DECLINED;
		t.m = mbuf_of(record.p, record.len);
		take_record(&t, kind);
		if (t.rc != RC_OK)
			return t.rc;
	}
	return RC_OK;
}

static const char *header_fault(struct span file, uint32_t *flags)
{
	struct mbuf m = mbuf_of(file.p, file.len);
	uint64_t version, len, sum, have;
	struct span magic;

	if (mbuf_bytes(&m, 8, &magic) != RC_OK || memcmp(magic.p, SNAPSHOT_MAGIC, 8) != 0)
		return "it is none";
	if (mbuf_uint(&m, 4, &version) != RC_OK || version != SNAPSHOT_VERSION)
		return "it is of another version";
	if (mbuf_u32(&m, flags) != RC_OK || mbuf_u64(&m, &len) != RC_OK || mbuf_u64(&m, &sum) != RC_OK ||
	    len != mbuf_left(&m))
		return "it is cut";
	have = XXH3_64bits(m.p, mbuf_left(&m));
	return have == sum ? NULL : "its checksum is not right";
}

enum rc snapshot_take(struct stats_sink *k, struct span file, bool *values, const char **why)
{
	uint32_t flags = 0;
	struct span body;
	enum rc rc;

	*why = header_fault(file, &flags);
	*values = flags & SNAPSHOT_VALUES;
	if (*why)
		return RC_DECLINED;
	body = span_of(file.p + SNAPSHOT_HEADER, file.len - SNAPSHOT_HEADER);
	rc = take_records(k->stats, NULL, body);
	if (rc == RC_OK)
		rc = take_records(k->stats, k, body);
	*why = rc == RC_DECLINED ? "a record of it is not right" : rc == RC_ERROR ? "memory is short" : NULL;
	return rc;
}
