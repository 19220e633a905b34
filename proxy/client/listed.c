#include "listed.h"

#include <stdio.h>

#include "mem.h"
#include "norm.h"
#include "request.h"
#include "result.h"
#include "scan.h"

#define SLOTS 32
#define BYTES 8192     /* of a reply */
#define VALUES 512     /* of its rows */
#define SAY_SOMETHING 32 /* so many values of a longer list: a loop over it would have begun with these */
#define LIST_ROWS 2
#define WALKS 8
#define WALK_ROWS 4 /* of fewer, gone through again and again, every other step goes back */
#define HELD_LEAST 3 /* rows of a longer list: a loop looks for the third one first (run_compare) */

/* How a read has gone through a reply's values so far. */
struct listed_walk {
	uint64_t child; /* its digest; 0: none */
	uint32_t at;    /* where the value before stood */
	uint32_t n, back, again; /* values that stood there, so many of them behind the one before; oftener than they stand there */
	bool is_back, is_again;  /* likewise, of the last one */
	uint32_t nasked;
	uint64_t asked[VALUES / 64];
};

struct listed_slot {
	uint64_t session, digest; /* digest 0: empty */
	uint64_t serial;          /* of the request that fills it */
	uint64_t rows, caps;
	bool binary, cut, looked_at;
	uint32_t len, nvalues, held; /* bytes; values, and the rows that they are of */
	struct listed_walk walk[WALKS];
	unsigned next_walk;
	uint64_t value[VALUES];
	uint8_t data[BYTES];
};

struct listed {
	struct listed_slot slot[SLOTS];
	uint64_t serial;
	unsigned next;
};

struct listed *listed_new(void)
{
	return mem_zalloc(sizeof(struct listed));
}

void listed_free(struct listed *l)
{
	mem_free(l);
}

static uint64_t hash_of(struct span text)
{
	uint64_t h = map_hash(text.p, text.len);

	return h ? h : 1;
}

/* The request's own slot; NULL: it has none, or another took it meanwhile. */
static struct listed_slot *slot_of(const struct request *r)
{
	struct listed_slot *slot = r->listed ? &r->s->worker->listed->slot[r->listed - 1] : NULL;

	return slot && slot->serial == r->listed_serial ? slot : NULL;
}

static struct listed_slot *slot_begin(struct request *r)
{
	struct listed *l = r->s->worker->listed;
	struct listed_slot *slot = &l->slot[l->next];

	r->listed = l->next + 1;
	r->listed_serial = ++l->serial;
	l->next = (l->next + 1) % SLOTS;
	slot->serial = r->listed_serial;
	slot->session = r->s->id;
	slot->digest = 0;
	slot->caps = r->s->caps;
	slot->binary = r->prepared != NULL;
	slot->cut = slot->looked_at = false;
	for (unsigned i = 0; i < WALKS; i++)
		slot->walk[i].child = 0;
	slot->len = slot->nvalues = slot->held = 0;
	return slot;
}

void listed_take(struct request *r, const void *p, size_t len)
{
	struct listed_slot *slot;
	size_t room;

	if (!COUNTED || !r->st || r->st->facts.verb != SQL_SELECT || r->st->facts.flags & SQL_F_MULTI || r->s->login || !r->s->worker->listed)
		return;
	slot = r->listed ? slot_of(r) : slot_begin(r);
	if (!slot)
		return;
	room = BYTES - slot->len;
	if (len > room) {
		slot->cut = true;
		len = room;
	}
	memcpy(slot->data + slot->len, p, len);
	slot->len += (uint32_t)len;
}

void listed_end(struct request *r)
{
	struct listed_slot *slot = slot_of(r);
	struct listed *l = r->s->worker->listed;

	if (!slot)
		return;
	if (r->rows >= LIST_ROWS && !r->error) {
		slot->digest = r->st->digest;
		slot->rows = r->rows;
	} else if ((l->next + SLOTS - 1) % SLOTS == (unsigned)(slot - l->slot)) {
		l->next = (unsigned)(slot - l->slot); /* the next one may have it */
	}
}

static void keep_value(void *arg, struct span text)
{
	struct listed_slot *slot = arg;

	if (slot->nvalues < VALUES)
		slot->value[slot->nvalues++] = hash_of(text);
	else
		slot->cut = true;
}

static bool holds_one(const struct listed_slot *slot, uint64_t value)
{
	for (uint32_t i = 0; i < slot->nvalues; i++)
		if (slot->value[i] == value)
			return true;
	return false;
}

static bool holds(struct listed_slot *slot, const struct stats_values *sought)
{
	bool all = true;

	if (!slot->looked_at) {
		slot->held = (uint32_t)result_each_value(span_of(slot->data, slot->len), slot->caps, slot->binary, keep_value, slot);
		slot->looked_at = true;
	}
	for (unsigned i = 0; i < sought->n; i++)
		all &= holds_one(slot, sought->hash[i]);
	return all;
}

static unsigned preference(const struct listed_slot *slot, const struct stats_list *first)
{
	return slot->serial == first->which ? 2 : slot->digest == first->digest ? 1 : 0;
}

static bool is_better(const struct listed_slot *a, const struct listed_slot *b, const struct stats_list *first)
{
	unsigned x = preference(a, first), y = preference(b, first);

	return x != y ? x > y : a->serial > b->serial;
}

static struct listed_walk *walk_find(struct listed_slot *slot, uint64_t child)
{
	for (unsigned i = 0; i < WALKS; i++)
		if (slot->walk[i].child == child)
			return &slot->walk[i];
	return NULL;
}

static struct listed_walk *walk_of(struct listed_slot *slot, uint64_t child)
{
	struct listed_walk *w = walk_find(slot, child);

	if (w)
		return w;
	w = &slot->walk[slot->next_walk++ % WALKS];
	*w = (struct listed_walk){.child = child};
	return w;
}

/* Does the child go on towards the reply's end, and does it ask for a value oftener than that has it? Once most have been asked for,
 * it may be a second loop over them. */
static void walk(struct listed_slot *slot, uint64_t child, uint64_t value)
{
	struct listed_walk *w = walk_of(slot, child);
	uint32_t first = VALUES, ahead = VALUES, fresh = VALUES;

	for (uint32_t i = slot->nvalues; i > 0; i--) {
		uint32_t at = i - 1;

		if (slot->value[at] != value)
			continue;
		first = at;
		ahead = at >= w->at ? at : ahead;
		fresh = w->asked[at / 64] >> at % 64 & 1 ? fresh : at;
	}
	w->is_back = ahead == VALUES;
	w->is_again = fresh == VALUES && (uint64_t)w->nasked * 4 < slot->rows * 3;
	if (fresh < VALUES)
		w->asked[fresh / 64] |= UINT64_C(1) << fresh % 64;
	w->nasked += fresh < VALUES;
	w->n++;
	w->back += w->is_back;
	w->again += w->is_again;
	w->at = w->is_back ? first : ahead;
}

/* Of a list whose end was cut off: has the child gone through what is there, row by row? Then what it asks for now stood behind that.
 * (The n values looked for are of the third row and those behind it, all rows as long as each other.) */
static bool is_through(struct listed_slot *slot, uint64_t child)
{
	const struct listed_walk *w = walk_find(slot, child);

	return slot->cut && w && w->n && !w->back && (uint64_t)w->at * (w->n + 3) >= (uint64_t)slot->nvalues * (w->n + 1);
}

/* Rows asked for in no order, or again, may be those that the rows of another list speak of: that has them in this order, or as often.
 * holding: the slots that have this value, as bits. NULL: there is none. */
static struct listed_slot *list_behind(struct listed *l, struct listed_slot *found, uint64_t child, uint32_t holding)
{
	const struct listed_walk *of = walk_find(found, child);

	for (unsigned i = 0; of && (of->is_back || of->is_again) && i < SLOTS; i++) {
		const struct listed_walk *w = holding >> i & 1 && l->slot[i].digest != found->digest ? walk_find(&l->slot[i], child) : NULL;

		if (w && w->n >= of->n && !w->again && (of->is_again || !w->back))
			return &l->slot[i];
	}
	return NULL;
}

static struct stats_list list_of(struct listed_slot *slot, uint64_t child)
{
	const struct listed_walk *w = walk_find(slot, child);

	return (struct stats_list){.digest = slot->digest, .rows = slot->rows, .which = slot->serial, .back = w && w->is_back, .again = w && w->is_again};
}

/* That a value does not stand there says something. */
static bool is_enough(const struct listed_slot *slot)
{
	return !slot->cut || (slot->nvalues >= SAY_SOMETHING && slot->held >= HELD_LEAST);
}

struct stats_list listed_in(const struct stats_event *e, const struct stats_list *first, const struct stats_values *sought)
{
	const struct request *r = e->arg;
	struct listed *l = r->s->worker->listed;
	struct listed_slot *found = NULL, *behind;
	bool have = false, beyond = false;
	uint32_t holding = 0;

	for (unsigned i = 0; l && i < SLOTS; i++) {
		struct listed_slot *slot = &l->slot[i];

		if (slot->session != e->session || slot->digest == 0 || slot->digest == e->digest)
			continue;
		if (holds(slot, sought)) {
			holding |= UINT32_C(1) << i;
			if (sought->n == 1 && slot->rows >= WALK_ROWS)
				walk(slot, e->digest, sought->hash[0]);
			if (!found || is_better(slot, found, first))
				found = slot;
		}
		have |= slot->digest == first->digest && is_enough(slot);
		beyond |= slot->serial == first->which && is_through(slot, e->digest);
	}
	behind = found ? list_behind(l, found, e->digest, holding) : NULL;
	if (found)
		return list_of(behind ? behind : found, e->digest);
	return (struct stats_list){.digest = have && !beyond ? 0 : STATS_LIST_UNKNOWN};
}

/* ---- a statement's own values ---- */

/* at: which literal of its text it is. */
static void put(struct stats_values *out, struct span text, bool key, unsigned at)
{
	if (out->n == STATS_VALUES)
		return;
	out->at[out->n] = at;
	out->keys |= (unsigned)key << out->n;
	out->hash[out->n++] = hash_of(text);
}

/* Where in a text a value must be equalled: "= v", "= f(v)", "IN (v)", "(a, b) = (v, v)". */
struct keyed {
	struct sql_token before, last;
	unsigned depth, from; /* parentheses; the first of those whose values are such, 0: none */
};

static bool is_equals(const struct sql_token *t)
{
	return sql_token_is_op(t, '=') || sql_token_is_op(t, SQL_OP_NULLSAFE);
}

static bool is_keyed(const struct keyed *k)
{
	return k->from || is_equals(&k->last) || (k->last.kind == SQL_T_WORD && k->last.text.p[0] == '_' && is_equals(&k->before));
}

static void keyed_next(struct keyed *k, const struct sql_token *t)
{
	if (sql_token_is_op(t, '(')) {
		k->depth++;
		if (!k->from && (is_equals(&k->last) || sql_token_is_word(&k->last, "in") || is_equals(&k->before)))
			k->from = k->depth;
	} else if (sql_token_is_op(t, ')')) {
		if (k->from == k->depth)
			k->from = 0;
		k->depth -= k->depth > 0;
	} else if (sql_token_is_word(t, "select")) {
		k->from = 0; /* its values are its own */
	}
	k->before = k->last;
	k->last = *t;
}

static void text_values(const struct stats_event *e, struct stats_values *out)
{
	struct keyed k = {0};
	unsigned literals = 0;
	bool unseen = false;
	struct sql_token t;
	struct sql_scan s;

	sql_scan_init(&s, e->text, e->mode);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t)) {
		const char *quote = NULL;
		unsigned had = out->n;

		if (had == STATS_VALUES && sql_token_is_literal(&t))
			return;
		if (t.kind == SQL_T_NUMBER)
			put(out, t.text, is_keyed(&k), literals);
		if (t.kind == SQL_T_STRING)
			quote = memchr(t.text.p, '\'', t.text.len);
		if (t.kind == SQL_T_STRING && !quote)
			quote = memchr(t.text.p, '"', t.text.len);
		if (quote && quote + 1 < t.text.p + t.text.len)
			put(out, span_of(quote + 1, (size_t)(t.text.p + t.text.len - quote) - 2), is_keyed(&k), literals);
		unseen |= sql_token_is_literal(&t) && out->n == had && t.kind != SQL_T_WORD;
		literals += sql_token_is_literal(&t);
		keyed_next(&k, &t);
	}
	out->all = !unseen && t.kind == SQL_T_END;
}

/* Which of a prepared statement's parameters are such, as bits, and where in its text they stand. */
static unsigned bound_keys(const struct prepared *p, unsigned at[STATS_VALUES])
{
	struct keyed k = {0};
	unsigned keys = 0, n = 0, literals = 0;
	struct sql_token t;
	struct sql_scan s;

	sql_scan_init(&s, span_of(p->text, p->text_len), p->mode);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD && n < STATS_VALUES; sql_scan_next_code(&s, &t)) {
		if (t.kind == SQL_T_PARAM) {
			at[n] = literals;
			keys |= (unsigned)is_keyed(&k) << n++;
		}
		literals += sql_token_is_literal(&t);
		keyed_next(&k, &t);
	}
	return keys;
}

static void put_integer(const struct stmt_value *v, struct stats_values *out)
{
	unsigned shift;
	uint64_t n = 0;
	char text[24];
	int len;

	for (size_t i = 0; i < v->raw.len && i < 8; i++)
		n |= (uint64_t)(uint8_t)v->raw.p[i] << (8 * i);
	shift = v->raw.len && v->raw.len < 8 ? 64 - 8 * (unsigned)v->raw.len : 0;
	if (v->is_unsigned)
		len = snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	else
		len = snprintf(text, sizeof(text), "%lld", (long long)((int64_t)(n << shift) >> shift));
	put(out, span_of(text, (size_t)len), false, 0);
}

static void bound_values(const struct request *r, struct stats_values *out)
{
	const struct prepared *p = r->prepared;
	struct stmt_values values;
	struct stmt_value v;

	if (!p->types || p->long_data)
		return;
	stmt_values_begin(&values, &r->execute, p->params, span_of(p->types, 2 * (size_t)p->params));
	while (out->n < STATS_VALUES && stmt_values_next(&values, &v) == RC_OK) {
		if (v.is_null)
			put(out, span_of("", 0), false, 0);
		else if (v.type == FIELD_TINY || v.type == FIELD_SHORT || v.type == FIELD_LONG || v.type == FIELD_LONGLONG)
			put_integer(&v, out);
		else
			put(out, v.raw, false, 0);
	}
	out->keys = bound_keys(p, out->at);
	out->fixed = map_hash(p->text, p->text_len);
	out->all = p->params == out->n;
}

void listed_values(const struct stats_event *e, struct stats_values *out)
{
	const struct request *r = e->arg;

	*out = (struct stats_values){0};
	if (r->prepared)
		bound_values(r, out);
	else
		text_values(e, out);
}
