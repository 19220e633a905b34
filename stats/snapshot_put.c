/*
 * snapshot_put.c - the statistics as the bytes of a snapshot; see snapshot.h.
 */
#include "snapshot.h"

#include <xxhash.h>

#include "advice.h"
#include "mem.h"
#include "predict.h"
#include "view.h"

#define RECORD_MAX (256 * 1024)

/* A file being made: after the first failure nothing more is added. */
struct put {
	struct stats *s;
	bool values;
	enum rc rc;
	struct iobuf record, *out;
};

static void bytes(struct put *p, const void *at, size_t n)
{
	if (p->rc == RC_OK)
		p->rc = iobuf_append(&p->record, at, n);
}

static void number(struct put *p, unsigned width, uint64_t v)
{
	uint8_t le[8];

	for (unsigned i = 0; i < width; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	bytes(p, le, width);
}

static void text(struct put *p, struct span v)
{
	number(p, 4, v.len);
	bytes(p, v.p, v.len);
}

static void moment(struct put *p, uint64_t mono_ns)
{
	number(p, 8, stats_wall_us(p->s, mono_ns));
}

/* The record is whole: into the file. RC_DECLINED: the file is full without it. */
static enum rc flush(struct put *p, enum snapshot_kind kind)
{
	size_t n = iobuf_len(&p->record);
	uint8_t head[5] = {(uint8_t)kind, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};

	if (p->rc != RC_OK)
		return RC_ERROR;
	if (iobuf_len(p->out) + sizeof(head) + n > SNAPSHOT_MAX) {
		iobuf_consume(&p->record, n);
		return RC_DECLINED;
	}
	if (iobuf_append(p->out, head, sizeof(head)) != RC_OK ||
	    iobuf_append(p->out, iobuf_data(&p->record), n) != RC_OK)
		p->rc = RC_ERROR;
	iobuf_consume(&p->record, n);
	return p->rc;
}

static void put_meta(struct put *p)
{
	number(p, 8, p->s->since_us);
	number(p, 8, p->s->before_ns + clock_mono_ns() - p->s->mono_ns);
	(void)!flush(p, SNAPSHOT_META);
}

/* ---- rows ---- */

static void put_hist(struct put *p, const struct hist *h)
{
	uint32_t n = 0;

	number(p, 8, stats_get(&h->count));
	number(p, 8, stats_get(&h->sum_ns));
	number(p, 8, stats_get(&h->max_ns));
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		n += hist_bucket(h, i) != 0;
	number(p, 4, n);
	for (unsigned i = 0; i < HIST_BUCKETS && n; i++) {
		uint64_t have = hist_bucket(h, i); /* of 32 bits, as a row's are */

		if (!have)
			continue;
		number(p, 4, i);
		number(p, 4, have);
		n--;
	}
}

static void put_names(struct put *p, const struct stats_row_tag *tags, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		const char *name = atomic_load_explicit(&tags[i].text, memory_order_acquire);

		text(p, span_str(name ? name : ""));
		number(p, 8, name ? stats_get(&tags[i].count) : 0);
	}
}

/* r: nobody else's. */
static void put_row(struct put *p, const struct stats_row *r)
{
	for (unsigned i = 0; i < STATS_NUMBERS; i++)
		number(p, 8, stats_get(&r->n[i]));
	number(p, 8, stats_get(&r->min_ns));
	number(p, 8, stats_get(&r->max_ns));
	moment(p, stats_get(&r->first_ns));
	moment(p, stats_get(&r->last_ns));
	for (unsigned i = 0; i < STATS_ERRORS; i++) {
		number(p, 4, atomic_load_explicit(&r->error[i].code, memory_order_relaxed));
		number(p, 8, stats_get(&r->error[i].count));
	}
	put_names(p, r->tag, STATS_TAGS);
	put_names(p, r->server, STATS_SERVERS);
	put_hist(p, &r->hist);
}

static void put_sample(struct put *p, const struct stats_digest *d)
{
	struct stats_sample *m = p->values ? stats_sample_copy(p->s, d) : NULL;

	number(p, 1, m != NULL);
	if (m) {
		number(p, 8, m->total_ns);
		moment(p, m->at_ns);
		number(p, 8, m->rows_sent);
		number(p, 1, m->cut);
		text(p, span_of(m->text, m->len));
	}
	mem_free(m);
}

/* What all sinks have of the digest of this reference, whose first it is; an empty row where it is not. */
static enum rc sum_of(const struct view *v, const struct view_row *of, uint32_t ref, struct stats_row *sum)
{
	const struct stats_digest *d = v->ref[ref].row->digest;
	uint32_t i = of->refs;

	while (v->ref[i].row->digest != d)
		i = v->ref[i].next;
	if (i != ref)
		return RC_OK;
	for (; i != VIEW_NONE; i = v->ref[i].next) {
		if (v->ref[i].row->digest != d)
			continue;
		if (stats_row_fold(sum, v->ref[i].row) != RC_OK)
			return RC_ERROR;
		stats_row_fold_names(sum, v->ref[i].row);
	}
	return RC_OK;
}

static enum rc put_digest(struct put *p, const struct view *v, const struct view_row *of, uint32_t ref)
{
	const struct stats_digest *d = v->ref[ref].row->digest;
	struct stats_row *sum = stats_row_new(NULL);
	enum rc rc = sum ? sum_of(v, of, ref, sum) : RC_ERROR;

	if (rc == RC_OK && stats_get(&sum->n[STATS_N_CALLS])) {
		number(p, 8, d->digest);
		number(p, 1, d->is_read);
		text(p, span_str(d->verb));
		text(p, span_str(d->schema));
		text(p, span_str(d->user));
		text(p, span_str(d->table));
		text(p, span_str(d->text));
		put_row(p, sum);
		put_sample(p, d);
		rc = flush(p, SNAPSHOT_DIGEST);
	}
	stats_row_free(p->s, sum);
	return rc;
}

static enum rc put_digests(struct put *p, struct view *v)
{
	enum rc rc = view_sort(v, STATS_BY_TOTAL_TIME);

	for (size_t i = 0; i < v->count && rc == RC_OK; i++)
		for (uint32_t at = v->row[i].refs; at != VIEW_NONE && rc == RC_OK; at = v->ref[at].next)
			rc = put_digest(p, v, &v->row[i], at);
	return rc == RC_DECLINED ? RC_OK : rc; /* full: the others have cost less */
}

/* Also what belongs to digests that have been given up, though their writers have not noticed. */
static enum rc put_other(struct put *p, const struct view *v)
{
	struct stats_row *sum = stats_row_new(NULL);
	enum rc rc = sum ? RC_OK : RC_ERROR;

	for (struct stats_sink *k = atomic_load(&p->s->sinks); k && rc == RC_OK; k = k->next)
		if (k->table)
			rc = stats_row_fold(sum, k->table->other);
	for (uint32_t i = v->other.refs; i != VIEW_NONE && rc == RC_OK; i = v->ref[i].next)
		rc = stats_row_fold(sum, v->ref[i].row);
	if (rc == RC_OK && stats_get(&sum->n[STATS_N_CALLS])) {
		put_row(p, sum);
		rc = flush(p, SNAPSHOT_OTHER);
	}
	stats_row_free(p->s, sum);
	return rc;
}

/* ---- what is not of one digest ---- */

static void put_loop(struct put *p, const struct stats_loop *l)
{
	const _Atomic uint64_t *n[] = {&l->occurrences, &l->queries,     &l->spent_ns, &l->parent_rows,
				       &l->overruns,    &l->max_repeats, &l->compared, &l->matched, &l->varied};

	for (unsigned i = 0; i < countof(n); i++)
		if (stats_get(n[i]) > INT64_MAX) /* a run is just being taken back */
			return;
	number(p, 8, l->parent);
	number(p, 8, l->child);
	text(p, span_str(l->route));
	text(p, span_str(l->framework));
	for (unsigned i = 0; i < countof(n); i++)
		number(p, 8, stats_get(n[i]));
	moment(p, stats_get(&l->first_ns));
	moment(p, stats_get(&l->last_ns));
	(void)!flush(p, SNAPSHOT_LOOP);
}

static void put_spender(struct put *p, const struct stats_spender *one)
{
	if (!one || !stats_get(&one->n[STATS_SPENT_CALLS]))
		return;
	for (unsigned d = 0; d < STATS_DIMENSIONS; d++)
		text(p, span_str(one->name[d]));
	for (unsigned i = 0; i < STATS_SPENT_NUMBERS; i++)
		number(p, 8, stats_get(&one->n[i]));
	(void)!flush(p, SNAPSHOT_SPENDER);
}

static void put_tables(struct put *p)
{
	for (struct stats_sink *k = atomic_load(&p->s->sinks); k; k = k->next) {
		if (!k->table)
			continue;
		for (unsigned i = 0; i < STATS_NPLUS1_MAX; i++) {
			const struct stats_loop *l = atomic_load(&k->table->loop[i]);

			if (l)
				put_loop(p, l);
		}
		for (unsigned i = 0; i < STATS_SPENDERS; i++)
			put_spender(p, atomic_load_explicit(&k->table->spender[i], memory_order_acquire));
		put_spender(p, &k->table->spender_other);
	}
}

static void put_advice(struct put *p, uint64_t digest)
{
	struct stats_advice a;

	if (advice_copy(p->s, digest, &a) != RC_OK)
		return;
	if (!p->values)
		advice_forget_values(&a);
	number(p, 8, a.digest);
	number(p, 8, a.rows_examined);
	number(p, 8, a.rows_left);
	number(p, 1, a.covered);
	text(p, span_str(a.table));
	text(p, span_str(a.columns));
	text(p, span_str(a.reason));
	text(p, span_str(a.fix_sql));
	text(p, span_str(a.fix_text));
	text(p, span_str(a.fix_statement));
	text(p, span_str(a.path));
	text(p, span_str(a.plan));
	advice_reset(&a);
	(void)!flush(p, SNAPSHOT_ADVICE);
}

static void put_ghost(void *arg, uint64_t digest, const struct predict_sum *sum)
{
	struct put *p = arg;

	number(p, 8, digest);
	number(p, 8, sum->reads);
	number(p, 8, sum->read_ns);
	number(p, 8, sum->invalidated);
	for (unsigned i = 0; i < PREDICT_TTLS; i++) {
		number(p, 8, sum->hits[i]);
		number(p, 8, sum->hit_ns[i]);
	}
	(void)!flush(p, SNAPSHOT_GHOST);
}

static enum rc put_all(struct put *p)
{
	struct view v;
	enum rc rc;

	if (view_open(p->s, &v) != RC_OK)
		return RC_ERROR;
	put_meta(p);
	put_tables(p);
	predict_each(p->s, put_ghost, p);
	for (size_t i = 0; i < v.count; i++)
		put_advice(p, v.row[i].digest);
	rc = put_other(p, &v);
	if (rc == RC_OK)
		rc = put_digests(p, &v);
	view_close(&v);
	return p->rc == RC_OK ? rc : p->rc;
}

static void seal(struct iobuf *out, bool values)
{
	uint8_t *head = out->data + out->start;
	size_t n = iobuf_len(out) - SNAPSHOT_HEADER;
	uint64_t field[3] = {SNAPSHOT_VERSION | (uint64_t)(values ? SNAPSHOT_VALUES : 0) << 32, n,
			     XXH3_64bits(head + SNAPSHOT_HEADER, n)};

	memcpy(head, SNAPSHOT_MAGIC, 8);
	for (unsigned i = 0; i < 24; i++)
		head[8 + i] = (uint8_t)(field[i / 8] >> (8 * (i % 8)));
}

enum rc snapshot_put(struct stats *s, struct iobuf *out)
{
	struct put p = {.s = s, .values = atomic_load(&s->samples), .out = out};
	static const uint8_t header[SNAPSHOT_HEADER];
	enum rc rc;

	iobuf_init(&p.record, RECORD_MAX);
	rc = iobuf_append(out, header, sizeof(header));
	if (rc == RC_OK)
		rc = put_all(&p);
	if (rc == RC_OK)
		seal(out, p.values);
	iobuf_reset(&p.record);
	return rc;
}
