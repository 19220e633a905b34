/*
 * cached.c - a request and the cache: its key, a hit's reply, a miss's fill.
 */
#include <string.h>

#include "clock.h"
#include "listed.h"
#include "mem.h"
#include "rows.h"

#define KEY_ROOM 256 /* most keys need no more beside the text and the variables */

/* What its text means was settled by the state it was prepared in. */
static struct span prepared_under(const struct session *s, const struct prepared *p)
{
	return p->env == s->vars ? span_of(NULL, 0) : p->env->bytes;
}

/* What the servers begin sessions with has been changed through us (SET GLOBAL): sessions from before and after differ, and
 * which they are only this process knows. */
static enum rc put_defaults(struct request *r)
{
	const struct session *s = r->s;
	uint64_t since[2] = {s->worker->in->salt, s->epoch};

	r->key_epoch = s->epoch;
	return s->epoch == ACCOUNTS_FIRST_EPOCH ? RC_OK : iobuf_append(&r->key, since, sizeof(since));
}

/* The text itself, as far as it decides the reply. */
static enum rc put_text(struct request *r)
{
	const struct known_text *t = known_find(&r->s->worker->known, r->sql, r->mode, &r->text_hash);
	struct span known;

	if (t) {
		known = known_canonical(t);
		return iobuf_append(&r->key, known.p, known.len);
	}
	r->canonical_at = iobuf_len(&r->key);
	return sql_canonical(r->sql, r->mode, &r->key);
}

/* It was a hit, so it may well come again. */
static void keep_text(struct request *r)
{
	const char *key = (const char *)iobuf_data(&r->key);

	if (likely(!r->canonical_at) || r->st->facts.flags & SQL_F_PASSWORD)
		return;
	known_keep(&r->s->worker->known, r->sql, r->mode, r->text_hash, r->lexed,
		   span_of(key + r->canonical_at, iobuf_len(&r->key) - r->canonical_at));
}

/* C3: everything that can change the reply's bytes, spelled out. */
static enum rc build_key(struct request *r)
{
	struct session *s = r->s;
	struct prepared *p = r->prepared;
	uint64_t caps = s->caps & ((UPSTREAM_WIRE_CAPS & ~CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS) | CLIENT_SESSION_TRACK);
	const char form[2] = {p ? 'b' : 't', (char)r->mode}; /* the mode: one text may be two statements */

	iobuf_init(&r->key, 0);
	if (!iobuf_reserve(&r->key, s->vars->bytes.len + r->sql.len + KEY_ROOM) || packet_put_lenenc_str(&r->key, span_str(s->account->user)) != RC_OK ||
	    iobuf_append(&r->key, &caps, sizeof(caps)) != RC_OK || iobuf_append(&r->key, form, sizeof(form)) != RC_OK ||
	    packet_put_lenenc_str(&r->key, s->vars->bytes) != RC_OK || put_defaults(r) != RC_OK)
		return RC_ERROR;
	r->key_head = (uint32_t)iobuf_len(&r->key);
	if (!p)
		return put_text(r);
	if (packet_put_lenenc_str(&r->key, prepared_under(s, p)) != RC_OK || packet_put_lenenc_str(&r->key, r->sql) != RC_OK ||
	    iobuf_append(&r->key, p->types, p->types ? 2 * (size_t)p->params : 0) != RC_OK)
		return RC_ERROR;
	r->key_head = (uint32_t)iobuf_len(&r->key);
	if (packet_put_lenenc_str(&r->key, r->execute.nulls) != RC_OK)
		return RC_ERROR;
	return iobuf_append(&r->key, r->execute.values.p, r->execute.values.len);
}

/* What became of a read, for its tables and its rule in /api/cache. */
static void count(const struct request *r, enum cache_outcome what, enum cache_refusal why, uint32_t saved_us)
{
	cache_table_count(r->s->worker->in->cache, r->st->reads, r->st->nreads, r->lookup.rule, what, why, saved_us);
}

static void send_entry(struct request *r, const struct cache_entry *e)
{
	const uint8_t *data = cache_entry_data(e);

	r->cache_hit = true;
	keep_text(r);
	count(r, CACHE_HIT, CACHE_STORED, e->cost_us);
	stats_count(r->s->worker->sink, STATS_C_CACHE_SAVED_TIME, e->cost_us * UINT64_C(1000));
	r->route = STATS_CACHE;
	r->rows = e->rows;
	r->bytes_out = e->len;
	r->first_ns = clock_mono_ns();
	aftermath_hit(r);
	shown_hit(r->s, e);
	listed_take(r, data, e->len);
	(void)channel_push(&r->s->ch, data, e->len);
	(void)channel_flush(&r->s->ch); /* after this nothing points into the entry */
	cache_entry_unref(e);
}

static void begin_fill(struct request *r)
{
	r->filling = true;
	/* Its answer is then what the session has seen or later, and is so for all. Where none is stored the replicas keep their part (F1). */
	if (unlikely(!cache_may_answer(&r->lookup)))
		shown_to_replicas(r);
	else if (unlikely(r->lookup.bound) && shown_binds(r))
		r->primary_only = topology_primary_usable(r->worker->in->topology);
	count(r, CACHE_MISS, CACHE_STORED, 0);
	r->fill_refusal = CACHE_STORED;
	iobuf_init(&r->fill, r->s->worker->settings->cache.max_result);
}

static void on_lookup(struct cache_lookup *l, enum rc rc, const struct cache_entry *e)
{
	struct request *r = container_of(l, struct request, lookup);

	r->lookup_pending = false;
	if (rc == RC_OK) {
		send_entry(r, e);
		exec_resume(r, STEP_END);
	} else {
		begin_fill(r);
		exec_resume(r, STEP_QUEUE);
	}
}

/* No server that could answer it is there. */
static bool nobody_answers(const struct request *r)
{
	const struct topology *t = r->s->worker->in->topology;

	return !topology_primary_usable(t) && (r->plan.target != PLAN_REPLICA || !topology_replica(t, NULL));
}

static enum rc name_table(void *arg, struct span schema, struct span table)
{
	cache_table_name(arg, schema, table);
	return RC_OK;
}

/* Its tables are counted by name from now on. */
static void name_tables(struct request *r)
{
	struct instance *in = r->s->worker->in;
	struct statement *st = r->st;
	const char *why;

	st->named_version = st->catalog_version;
	for (uint16_t i = 0; i < st->facts.ntables; i++) {
		const struct sql_table *t = &st->facts.tables[i];

		if (catalog_reads(in->catalog, t->schema.len ? t->schema : span_str(st->schema), t->name, name_table, in->cache,
				  &why) != RC_OK)
			return; /* it has just changed: it is counted with the others */
	}
}

/* What an execution's values are bound to: SQL_KIND_*. */
static unsigned kinds_bound(const struct prepared *p)
{
	unsigned kinds = 0;

	for (unsigned i = 0; p->types && i < p->params; i++)
		switch (p->types[2 * i]) {
		case FIELD_TIME:
			kinds |= SQL_KIND_TIME;
			break;
		case FIELD_DATE:
		case FIELD_DATETIME:
		case FIELD_TIMESTAMP:
			kinds |= SQL_KIND_DATE;
			break;
		default:
			break;
		}
	return kinds;
}

/* A TIME in it becomes one of today: tomorrow the same text has another answer, and nobody will have written anything. */
static bool hangs_on_today(struct request *r)
{
	struct catalog *c = r->s->worker->in->catalog;
	unsigned bound = r->prepared ? kinds_bound(r->prepared) : 0;
	const struct sql_today *t;

	if (unlikely(statement_today(r->st, c, r->sql, r->mode, &r->st->today)->always))
		return true;
	if (likely(!bound))
		return false;
	t = statement_today(r->st, c, r->sql, r->mode, &r->prepared->today);
	return t->always || (t->with_time && bound & SQL_KIND_TIME) || (t->with_date && bound & SQL_KIND_DATE) ||
	       (t->with_both && bound == (SQL_KIND_TIME | SQL_KIND_DATE));
}

static void tell_tags(struct cache_lookup *l)
{
	struct request *r = container_of(l, struct request, lookup);

	rows_read(r);
	l->ntags = r->ntags;
}

enum rc cached_step(struct request *r)
{
	struct worker *w = r->s->worker;
	enum cache_rest rest;
	const struct cache_entry *e;
	enum rc rc;

	if (!r->plan.cache || !w->cache || r->looked_up)
		return RC_OK;
	rest = atomic_load_explicit(&w->in->cache_rests, memory_order_acquire);
	if (unlikely(rest) && r->plan.eventual)
		return RC_OK;
	r->looked_up = !rest;
	if (r->s->vars->dirty_reads || unlikely(r->s->expired))
		return RC_OK; /* what it reads may never be committed; or a server would refuse it */
	if (r->prepared && (r->execute.flags & 0x07))
		return RC_OK; /* a cursor's rows are fetched from its connection */
	statement_resolve(r->st, w->in->catalog, w->settings);
	r->schema_version = r->st->catalog_version;
	if (!r->st->resolved) {
		/* Which writes it must see is not known just now: only the primary is past them all, if it is there (R4). */
		r->primary_only = topology_primary_usable(w->in->topology);
		r->needs_all = true;
		return RC_OK;
	}
	if (r->st->nreads == 0)
		return RC_OK;
	if (unlikely(rest)) { /* it must see what a fill would (C1), though none is wanted */
		r->rest = rest;
		shown_to_replicas(r);
		rows_read(r);
		return RC_OK;
	}
	if (unlikely(hangs_on_today(r))) {
		cache_refused(w->cache, CACHE_REFUSED_TODAY);
		count(r, CACHE_REFUSED, CACHE_REFUSED_TODAY, 0);
		return RC_OK;
	}
	if (build_key(r) != RC_OK)
		return RC_OK;
	if (unlikely(r->st->named_version != r->st->catalog_version))
		name_tables(r);
	r->ntags = 0;
	r->lookup = (struct cache_lookup){.key = span_of(iobuf_data(&r->key), iobuf_len(&r->key)), .key_head = r->key_head,
					  .tags = r->tags, .tell_tags = tell_tags, .done = on_lookup,
					  .stale_ok = nobody_answers(r), .may_wait = !r->s->pins && !r->s->in_transaction,
					  .refresh_ns = r->plan.cache_rule ? r->plan.cache_rule->refresh_ns : 0,
					  .rule = r->plan.cache_rule ? r->plan.cache_rule->id : 0};
	if (likely(!r->plan.eventual) && unlikely(!shown_bound(r->s, &r->lookup))) { /* an eventual one asks for what is old */
		r->primary_only = topology_primary_usable(w->in->topology);
		return RC_OK;
	}
	rc = cache_get(w->cache, &r->lookup, &e);
	if (rc == RC_OK) {
		send_entry(r, e);
		r->step = STEP_END;
		return RC_DECLINED;
	}
	if (rc == RC_AGAIN) {
		r->lookup_pending = true;
		return RC_AGAIN;
	}
	if (rc == RC_DECLINED) {
		if (r->lookup.tell_tags) /* the cache does not answer now; which writes it hangs on is asked all the same */
			tell_tags(&r->lookup);
		begin_fill(r);
	}
	return RC_OK;
}

bool cached_needs(struct request *r, struct gtid_pos *pos)
{
	struct cache_needs needs;

	if (r->needs_all)
		backend_acked(topology_primary(r->worker->in->topology), pos);
	/* What a living process writes nobody tells: what is known of the primary is all there is to go by, and the replicas keep their part. */
	if (unlikely(r->rest == CACHE_RESTS_BESIDE))
		(void)!backend_position_since(topology_primary(r->worker->in->topology), 0, pos);
	if (!r->filling && !r->rest)
		return true;
	cache_needs(r->s->worker->in->cache, r->tags, r->ntags, &needs);
	for (unsigned i = 0; i < needs.n; i++)
		gtid_advance(pos, &(struct gtid){.domain = needs.pos[i].domain, .seq = needs.pos[i].seq});
	return !needs.unknown || clock_mono_ns() >= needs.unknown_until_ns;
}

void cached_capture(struct request *r, const void *p, size_t len)
{
	if (!r->filling || r->fill_refusal != CACHE_STORED)
		return;
	if (iobuf_append(&r->fill, p, len) != RC_OK) {
		r->fill_refusal = CACHE_REFUSED_SIZE;
		iobuf_reset(&r->fill);
		cache_abandon(&r->lookup, false);
	}
}

/* It may have read what is never committed. */
static bool reads_dirty(const struct session *s)
{
	return s->vars->isolation ? s->vars->dirty_reads : s->up->dirty_reads;
}

static enum cache_refusal judge(const struct request *r)
{
	if (r->fill_refusal != CACHE_STORED)
		return r->fill_refusal;
	if (r->error)
		return CACHE_REFUSED_ERROR;
	if (r->warnings)
		return CACHE_REFUSED_WARNINGS;
	if (r->status & (STATUS_IN_TRANS | STATUS_MORE_RESULTS | STATUS_CURSOR_EXISTS) ||
	    !(r->status & STATUS_AUTOCOMMIT) || r->s->up == NULL || r->s->up->track.results != 1 ||
	    reads_dirty(r->s) || command_is_misread(r) || r->s->up->epoch != r->key_epoch)
		return CACHE_REFUSED_STATUS;
	if (unlikely(deltas_schema_moved(r))) /* it may have read other tables than those that it would be stored under */
		return CACHE_REFUSED_VERSION;
	return CACHE_STORED;
}

bool cached_finish(struct request *r)
{
	struct worker *w = r->s->worker;
	enum cache_refusal refusal;

	if (!r->filling)
		return false;
	r->filling = false;
	refusal = judge(r);
	if (refusal == CACHE_STORED)
		refusal = cache_fill(w->cache, &r->lookup, span_of(iobuf_data(&r->fill), iobuf_len(&r->fill)),
				 r->plan.cache_ttl_ns, r->rows, r->first_ns - r->sent_ns, r->status);
	else /* cache_fill counts its own refusals */
		stats_count(w->sink, (enum stats_counter)(STATS_C_CACHE_REFUSED_VERSION + (refusal - CACHE_REFUSED_VERSION)), 1);
	cache_abandon(&r->lookup, refusal == CACHE_REFUSED_ERROR); /* if there was no fill */
	count(r, refusal == CACHE_STORED ? CACHE_FILL : CACHE_REFUSED, refusal, 0);
	iobuf_reset(&r->fill);
	return refusal != CACHE_STORED;
}

bool cached_rescue(struct request *r)
{
	const struct cache_entry *e;

	if (!r->filling || r->reply_started || cache_get_stale(&r->lookup, &e) != RC_OK)
		return false;
	cache_abandon(&r->lookup, true);
	r->filling = false;
	send_entry(r, e);
	return true;
}

void cached_cancel(struct request *r)
{
	if (r->lookup_pending)
		cache_lookup_cancel(&r->lookup);
	else if (r->filling)
		cache_abandon(&r->lookup, true);
	r->lookup_pending = false;
	r->filling = false;
	iobuf_reset(&r->fill);
	iobuf_reset(&r->key);
}
