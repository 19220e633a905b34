/*
 * The version table: no interleaving of a read, its fill and writes lets a result be served that is older than an
 * acknowledged write (C1, C2); positions of writes reach whoever stores a replica's answer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "entry.h"
#include "map.h"
#include "store.h"
#include "versions.h"

#define TAG (SLOT << 2) /* a table of that slot */
#define SLOT 7

/*
 * The model: a primary with one row (a counter), a replica that applies late, one suimon. Actors are scripts of atomic
 * steps; every interleaving of them is run. A violation is a hit, by a read that began after a write was acknowledged,
 * on a result without that write.
 */
enum step {
	W_COMMIT,   /* the primary has it */
	W_BUMP,     /* cache_invalidate */
	W_ACK,      /* the client knows */
	A_APPLY,    /* the replica catches up with all that is committed */
	R_BEGIN,    /* look-up: versions are taken; a hit is checked */
	R_NEEDS,    /* what the replica must have applied */
	R_REPLICA,  /* the replica answers (value and its position) */
	R_PRIMARY,  /* or the primary does */
	R_FILL,     /* stored if the answering server was past all needs */
	C_BEGIN,    /* a checking read, a hit only */
};

struct reader {
	uint64_t version, epoch, got, got_at, began_acked;
	struct cache_needs needs;
	bool hit;
};

struct world {
	struct versions *v;
	struct store *s;
	struct store_effects fx;
	uint64_t primary, replica, acked;
	bool bump_disabled, needs_disabled, unknown;
	struct reader r;
	unsigned violations;
};

static const char *const KEY = "k";

static void check_hit(struct world *w, struct reader *r)
{
	struct span k = span_str(KEY);
	struct entry *e;
	uint64_t value;

	r->began_acked = w->acked;
	r->version = versions_get(w->v, SLOT);
	r->epoch = versions_epoch(w->v);
	r->hit = store_get(w->s, entry_key_of(k, 0), map_hash(k.p, k.len), 0, 0, &w->fx, &e) == RC_OK;
	if (!r->hit)
		return;
	memcpy(&value, entry_data(e), sizeof(value));
	if (value < r->began_acked)
		w->violations++;
	entry_unref(e);
}

/* The caller's duty as cache.h states it. */
static bool may_store(const struct world *w, const struct reader *r)
{
	if (w->needs_disabled)
		return true;
	if (r->needs.unknown)
		return r->got_at == UINT64_MAX;
	for (unsigned i = 0; i < r->needs.n; i++) {
		if (r->got_at < r->needs.pos[i].seq)
			return false;
	}
	return true;
}

static void fill(struct world *w, const struct reader *r)
{
	struct span k = span_str(KEY);
	cache_tag tag = TAG;
	struct entry_parts p = {.key = entry_key_of(k, 0), .data = span_of(&r->got, sizeof(r->got)), .tags = &tag, .versions = &r->version,
				.ntags = 1, .epoch = r->epoch, .expires_ns = UINT64_MAX};
	struct entry *e;

	if (r->hit || !may_store(w, r))
		return;
	e = entry_new(&p);
	assert_non_null(e);
	(void)!store_put(w->s, e, map_hash(k.p, k.len), 0, &w->fx);
	entry_unref(e);
}

static void bump(struct world *w)
{
	struct cache_pos pos = {.domain = 0, .seq = w->primary};
	struct versions_pos p = versions_pos_of(w->v, w->unknown ? NULL : &pos, 1, NS_PER_SEC);

	if (!w->bump_disabled)
		versions_bump(w->v, SLOT, &p, 1, false);
}

static void run_step(struct world *w, enum step s)
{
	static const cache_tag tag = TAG;

	switch (s) {
	case W_COMMIT: w->primary++; break;
	case W_BUMP: bump(w); break;
	case W_ACK: w->acked = w->primary; break;
	case A_APPLY: w->replica = w->primary; break;
	case R_BEGIN: check_hit(w, &w->r); break;
	case R_NEEDS: versions_needs(w->v, &tag, 1, 2, &w->r.needs); break;
	case R_REPLICA: w->r.got = w->replica; w->r.got_at = w->replica; break;
	case R_PRIMARY: w->r.got = w->primary; w->r.got_at = UINT64_MAX; break;
	case R_FILL: fill(w, &w->r); break;
	case C_BEGIN: { struct reader c; check_hit(w, &c); } break;
	}
}

struct script {
	const enum step *steps;
	unsigned n;
};

#define SCRIPT(...) {.steps = (const enum step[]){__VA_ARGS__}, .n = sizeof((const enum step[]){__VA_ARGS__}) / sizeof(enum step)}
#define SCRIPTS_MAX 4
#define STEPS_MAX 32

struct explorer {
	struct world config; /* the switches */
	struct script script[SCRIPTS_MAX];
	unsigned scripts, at[SCRIPTS_MAX];
	enum step order[STEPS_MAX];
	unsigned runs, violations;
};

static void reset_slot(struct versions *v)
{
	struct versions_slot *s = &v->slots[SLOT];

	memset(&s->pos, 0, sizeof(s->pos));
}

static void run_order(struct explorer *x, unsigned n)
{
	struct world *w = &x->config;

	versions_drop_all(w->v, false);
	reset_slot(w->v);
	w->primary = w->replica = w->acked = 0;
	memset(&w->r, 0, sizeof(w->r));
	w->violations = 0;
	for (unsigned i = 0; i < n; i++)
		run_step(w, x->order[i]);
	x->runs++;
	x->violations += w->violations > 0;
}

static void explore(struct explorer *x, unsigned depth)
{
	bool end = true;

	for (unsigned i = 0; i < x->scripts; i++) {
		if (x->at[i] == x->script[i].n)
			continue;
		end = false;
		x->order[depth] = x->script[i].steps[x->at[i]++];
		explore(x, depth + 1);
		x->at[i]--;
	}
	if (end)
		run_order(x, depth);
}

static struct explorer explored(struct explorer x)
{
	x.config.v = versions_new(NS_PER_SEC);
	assert_non_null(x.config.v);
	x.config.s = store_new(x.config.v, 1 << 20);
	assert_non_null(x.config.s);
	explore(&x, 0);
	store_free(x.config.s);
	versions_free(x.config.v);
	return x;
}

static const struct script writer = SCRIPT(W_COMMIT, W_BUMP, W_ACK);
static const struct script two_writes = SCRIPT(W_COMMIT, W_BUMP, W_ACK, W_COMMIT, W_BUMP, W_ACK);
static const struct script primary_reader = SCRIPT(R_BEGIN, R_NEEDS, R_PRIMARY, R_FILL);
static const struct script replica_reader = SCRIPT(R_BEGIN, R_NEEDS, R_REPLICA, R_FILL);
static const struct script applier = SCRIPT(A_APPLY);
static const struct script checker = SCRIPT(C_BEGIN, C_BEGIN);

static void test_fill_from_the_primary_against_writes(void **state)
{
	struct explorer x = explored((struct explorer){.script = {two_writes, primary_reader, checker}, .scripts = 3});

	assert_int_equal(x.runs, 13860);
	assert_int_equal(x.violations, 0);
}

static void test_fill_from_a_replica_against_writes(void **state)
{
	struct explorer x = explored((struct explorer){.script = {writer, replica_reader, applier, checker}, .scripts = 4});

	assert_int_equal(x.runs, 12600);
	assert_int_equal(x.violations, 0);
	x = explored((struct explorer){.script = {two_writes, replica_reader, applier}, .scripts = 3});
	assert_int_equal(x.violations, 0);
}

static void test_a_replica_proves_nothing_about_an_unknown_position(void **state)
{
	struct explorer x = explored((struct explorer){.config.unknown = true,
						       .script = {writer, replica_reader, applier, checker}, .scripts = 4});

	assert_int_equal(x.violations, 0);
}

/* The model can fail: without the bump, and without the position, it does. */
static void test_the_model_finds_what_is_left_out(void **state)
{
	struct explorer x = explored((struct explorer){.config.bump_disabled = true,
						       .script = {writer, primary_reader, checker}, .scripts = 3});

	assert_true(x.violations > 0);
	x = explored((struct explorer){.config.needs_disabled = true,
				       .script = {writer, replica_reader, applier, checker}, .scripts = 4});
	assert_true(x.violations > 0);
}

/* ---- positions ---- */

static void bump_at(struct versions *v, uint32_t domain, uint64_t seq, uint64_t now)
{
	struct versions_pos p = versions_pos_of(v, &(struct cache_pos){.domain = domain, .seq = seq}, now, 0);

	versions_bump(v, SLOT, &p, now, false);
}

static void test_the_largest_position_of_a_domain_is_kept(void **state)
{
	struct versions *v = versions_new(NS_PER_SEC);
	static const cache_tag tag = TAG;
	struct cache_needs n;

	bump_at(v, 1, 20, 1);
	bump_at(v, 1, 19, 1); /* committed before, answered after */
	bump_at(v, 2, 5, 1);
	versions_needs(v, &tag, 1, 2, &n);
	assert_int_equal(n.n, 2);
	assert_int_equal(n.pos[0].domain, 1);
	assert_int_equal(n.pos[0].seq, 20);
	assert_int_equal(n.pos[1].seq, 5);
	assert_false(n.unknown);
	versions_free(v);
}

static void test_more_domains_than_a_slot_holds_become_unknown(void **state)
{
	struct versions *v = versions_new(NS_PER_SEC);
	static const cache_tag tag = TAG;
	struct cache_needs n;

	for (uint32_t d = 1; d <= 3; d++)
		bump_at(v, d, 10 * d, 100);
	versions_needs(v, &tag, 1, 101, &n);
	assert_int_equal(n.n, 2);
	assert_true(n.unknown);
	assert_int_equal(n.unknown_until_ns, 100 + NS_PER_SEC);
	versions_needs(v, &tag, 1, 100 + NS_PER_SEC, &n);
	assert_false(n.unknown);
	versions_free(v);
}

static void test_a_write_without_a_window_of_its_own_has_the_present_one(void **state)
{
	struct versions *v = versions_new(NS_PER_SEC);
	static const cache_tag tag = TAG;
	struct versions_pos p;
	struct cache_needs n;

	versions_set_lag_window(v, 3 * NS_PER_SEC);
	p = versions_pos_of(v, NULL, 100, 0);
	versions_bump(v, SLOT, &p, 100, false);
	versions_needs(v, &tag, 1, 200, &n);
	assert_true(n.unknown);
	assert_int_equal(n.unknown_until_ns, 100 + 3 * NS_PER_SEC);
	versions_bump_all(v, 300, 0, false);
	versions_needs(v, &tag, 1, 400, &n);
	assert_int_equal(n.unknown_until_ns, 300 + 3 * NS_PER_SEC);
	versions_free(v);
}

static void test_the_primarys_own_position_bounds_unknown_writes(void **state)
{
	struct versions *v = versions_new(NS_PER_SEC);
	struct versions_pos p = versions_pos_of(v, NULL, 100, 5000);
	static const cache_tag tag = TAG;
	struct cache_needs n;

	versions_bump(v, SLOT, &p, 100, false);
	versions_primary_at(v, &(struct cache_pos){.domain = 3, .seq = 77}, 1, 100); /* asked too early to tell */
	versions_needs(v, &tag, 1, 200, &n);
	assert_true(n.unknown);
	assert_int_equal(n.unknown_until_ns, 5100);
	versions_primary_at(v, &(struct cache_pos){.domain = 3, .seq = 78}, 1, 101);
	versions_needs(v, &tag, 1, 200, &n);
	assert_false(n.unknown);
	assert_int_equal(n.n, 1);
	assert_int_equal(n.pos[0].seq, 78);
	versions_bump_all(v, 300, 0, false);
	versions_needs(v, &(cache_tag){12345}, 1, 301, &n);
	assert_true(n.unknown);
	versions_primary_at(v, &(struct cache_pos){.domain = 3, .seq = 90}, 1, 301);
	versions_needs(v, &(cache_tag){12345}, 1, 302, &n);
	assert_false(n.unknown);
	assert_int_equal(n.pos[0].seq, 90);
	versions_free(v);
}

static void test_positions_that_are_counted_anew_say_nothing_of_those_before(void **state)
{
	struct versions *v = versions_new(NS_PER_SEC);
	struct versions_pos before = versions_pos_of(v, &(struct cache_pos){.domain = 0, .seq = 105}, 100, 0), now;
	static const cache_tag tag = TAG;
	uint64_t epoch = versions_epoch(v);
	struct cache_needs n;

	versions_bump(v, SLOT, &before, 100, false);
	versions_primary_at(v, &(struct cache_pos){.domain = 0, .seq = 106}, 1, 110);
	versions_renumber(v, 200, 0, false);
	assert_int_not_equal(versions_epoch(v), epoch);
	versions_read(v, SLOT, &now);
	assert_int_equal(now.n, 0);
	versions_needs(v, &tag, 1, 210, &n);
	assert_int_equal(n.n, 0);
	assert_true(n.unknown); /* what there is now, it has from before */
	versions_primary_at(v, &(struct cache_pos){.domain = 0, .seq = 106}, 1, 190); /* asked of the former primary */
	versions_needs(v, &tag, 1, 210, &n);
	assert_true(n.unknown);
	versions_primary_at(v, &(struct cache_pos){.domain = 0, .seq = 100}, 1, 220);
	versions_needs(v, &tag, 1, 230, &n);
	assert_false(n.unknown);
	assert_int_equal(n.n, 1);
	assert_int_equal(n.pos[0].seq, 100);
	now = versions_pos_of(v, &(struct cache_pos){.domain = 0, .seq = 101}, 240, 0);
	versions_bump(v, SLOT, &now, 240, false);
	versions_read(v, SLOT, &now);
	assert_int_equal(now.n, 1);
	assert_int_equal(now.pos[0].seq, 101);
	versions_free(v);
}

static void test_a_slot_is_unsettled_until_its_last_bump_is_acknowledged(void **state)
{
	struct versions *v = versions_new(NS_PER_SEC);
	struct versions_pos p = versions_pos_of(v, NULL, 1, 1);
	uint32_t first;

	assert_true(versions_settled(v, SLOT));
	versions_bump(v, SLOT, &p, 1, true);
	first = versions_own(v, SLOT);
	versions_bump(v, SLOT, &p, 1, true);
	versions_settle(v, SLOT, first);
	assert_false(versions_settled(v, SLOT));
	versions_settle(v, SLOT, versions_own(v, SLOT));
	versions_settle(v, SLOT, first); /* an older acknowledgement changes nothing */
	assert_true(versions_settled(v, SLOT));
	versions_free(v);
}

/* The order the header promises: who sees the new version sees the position behind it. */
struct racer {
	struct versions *v;
	_Atomic bool stop;
	uint64_t wrong;
};

static void *race_reader(void *arg)
{
	struct racer *r = arg;

	while (!atomic_load(&r->stop)) {
		uint64_t version = versions_get(r->v, SLOT);
		struct versions_pos p;

		versions_read(r->v, SLOT, &p);
		if (version > 0 && (p.n == 0 || p.pos[0].seq < version))
			r->wrong++;
	}
	return NULL;
}

static void test_position_is_never_older_than_version(void **state)
{
	struct racer r = {.v = versions_new(NS_PER_SEC)};
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, race_reader, &r), 0);
	for (uint64_t i = 1; i <= 200000; i++)
		bump_at(r.v, 1, i, 1);
	atomic_store(&r.stop, true);
	pthread_join(t, NULL);
	assert_int_equal(r.wrong, 0);
	versions_free(r.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill_from_the_primary_against_writes),
		cmocka_unit_test(test_fill_from_a_replica_against_writes),
		cmocka_unit_test(test_a_replica_proves_nothing_about_an_unknown_position),
		cmocka_unit_test(test_the_model_finds_what_is_left_out),
		cmocka_unit_test(test_the_largest_position_of_a_domain_is_kept),
		cmocka_unit_test(test_more_domains_than_a_slot_holds_become_unknown),
		cmocka_unit_test(test_a_write_without_a_window_of_its_own_has_the_present_one),
		cmocka_unit_test(test_the_primarys_own_position_bounds_unknown_writes),
		cmocka_unit_test(test_positions_that_are_counted_anew_say_nothing_of_those_before),
		cmocka_unit_test(test_a_slot_is_unsettled_until_its_last_bump_is_acknowledged),
		cmocka_unit_test(test_position_is_never_older_than_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
