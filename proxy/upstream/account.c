#include "account.h"

#include <pthread.h>
#include <string.h>

#include "clock.h"
#include "mem.h"

#define MOST_LEARNT 10000 /* accounts learnt by pass-through; more are not remembered and prove themselves each time */

struct accounts {
	pthread_mutex_t lock;
	struct map by_user;
	bool passthrough;
	_Atomic uint64_t epoch;
	struct account *last; /* the last one a server accepted; owned reference */
};

static _Atomic uint64_t next_id = 1;

static bool account_eq(const struct map_node *node, const void *key)
{
	return span_eq(span_str(container_of(node, struct account, node)->user), *(const struct span *)key);
}

static struct account *find_locked(struct accounts *as, struct span user)
{
	struct map_node *n = map_find(&as->by_user, map_hash(user.p, user.len), &user);

	return n ? container_of(n, struct account, node) : NULL;
}

struct account *account_ref(struct account *a)
{
	atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

void account_unref(struct account *a)
{
	if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
		return;
	secret_unref(a->password);
	secret_unref(a->verifiers);
	mem_free(a->user);
	mem_free(a);
}

static bool is_recent(uint64_t ns)
{
	return ns && clock_mono_ns() - ns <= ACCOUNT_TRUST_NS;
}

bool account_schema_known(struct account *a, struct span schema)
{
	uint64_t hash = map_hash(schema.p, schema.len);
	size_t at = hash % ACCOUNT_SCHEMAS;
	uint64_t ns = atomic_load_explicit(&a->schemas[at].ns, memory_order_acquire);

	return atomic_load_explicit(&a->schemas[at].hash, memory_order_acquire) == hash && is_recent(ns);
}

void account_saw_schema(struct account *a, struct span schema)
{
	uint64_t hash = map_hash(schema.p, schema.len);
	size_t at = hash % ACCOUNT_SCHEMAS;

	atomic_store_explicit(&a->schemas[at].hash, hash, memory_order_release);
	atomic_store_explicit(&a->schemas[at].ns, clock_mono_ns(), memory_order_release);
}

/* Unsalted digests that a dictionary may be tried on: kept as the password itself is. */
static struct secret *make_verifiers(struct span password)
{
	uint8_t both[AUTH_NATIVE_LEN + AUTH_SHA2_LEN];
	struct secret *s = NULL;

	if (auth_native_verifier(password, both) == RC_OK && auth_sha2_verifier(password, both + AUTH_NATIVE_LEN) == RC_OK)
		s = secret_new(span_of(both, sizeof(both)));
	secret_wipe(both, sizeof(both));
	return s;
}

struct account *account_new(struct span user, struct span password)
{
	struct account *a = mem_zalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->refs = 1;
	a->id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
	a->user = mem_dup(user.p, user.len);
	a->user_len = user.len;
	a->password = secret_new(password);
	a->verifiers = make_verifiers(password);
	if (!a->user || !a->password || !a->verifiers) {
		account_unref(a);
		return NULL;
	}
	return a;
}

/* RC_ERROR: no memory; only where there was no account before. */
static enum rc put_locked(struct accounts *as, struct account *a)
{
	struct account *old = find_locked(as, span_str(a->user));

	if (old == a)
		return RC_OK;
	if (old) {
		map_remove(&as->by_user, &old->node);
		account_unref(old);
	}
	if (map_insert(&as->by_user, &a->node, map_hash(a->user, strlen(a->user))) != RC_OK)
		return RC_ERROR;
	account_ref(a);
	return RC_OK;
}

bool account_is_trusted(const _Atomic uint64_t *verified_ns)
{
	return is_recent(atomic_load_explicit(verified_ns, memory_order_relaxed));
}

void accounts_learn(struct accounts *as, struct account *a, bool at_primary)
{
	atomic_store_explicit(at_primary ? &a->verified_ns : &a->replica_verified_ns, clock_mono_ns(), memory_order_relaxed);
	pthread_mutex_lock(&as->lock);
	if (!a->configured && as->by_user.count < MOST_LEARNT)
		(void)!put_locked(as, a); /* it is asked for again */
	if (as->last != a) {
		account_unref(as->last);
		as->last = account_ref(a);
	}
	pthread_mutex_unlock(&as->lock);
}

static void doubt(struct account *a)
{
	atomic_store_explicit(&a->verified_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&a->replica_verified_ns, 0, memory_order_relaxed);
}

void accounts_forget(struct accounts *as, struct account *a)
{
	doubt(a);
	pthread_mutex_lock(&as->lock);
	if (as->last == a) {
		as->last = NULL;
		account_unref(a);
	}
	if (!a->configured && find_locked(as, span_str(a->user)) == a) {
		map_remove(&as->by_user, &a->node);
		account_unref(a);
	}
	pthread_mutex_unlock(&as->lock);
}

struct account *accounts_find(struct accounts *as, struct span user)
{
	struct account *a;

	pthread_mutex_lock(&as->lock);
	a = find_locked(as, user);
	if (a)
		account_ref(a);
	pthread_mutex_unlock(&as->lock);
	return a;
}

void accounts_doubt(struct accounts *as, struct span user)
{
	struct account *a;

	pthread_mutex_lock(&as->lock);
	a = find_locked(as, user);
	if (a)
		doubt(a);
	pthread_mutex_unlock(&as->lock);
}

static void doubt_one(struct map_node *node, void *arg)
{
	(void)arg;
	doubt(container_of(node, struct account, node));
}

void accounts_renew(struct accounts *as)
{
	atomic_fetch_add_explicit(&as->epoch, 1, memory_order_acq_rel);
}

void accounts_changed(struct accounts *as)
{
	accounts_renew(as);
	pthread_mutex_lock(&as->lock);
	map_each(&as->by_user, doubt_one, NULL);
	pthread_mutex_unlock(&as->lock);
}

uint64_t accounts_epoch(struct accounts *as)
{
	return atomic_load_explicit(&as->epoch, memory_order_acquire);
}

static bool has_expired(const struct account *a)
{
	return atomic_load_explicit(&a->expired, memory_order_relaxed);
}

/* A learnt one has been accepted. */
static void take_usable(struct map_node *node, void *arg)
{
	struct account **found = arg, *a = container_of(node, struct account, node);

	if (!*found && !has_expired(a) && (!a->configured || atomic_load_explicit(&a->verified_ns, memory_order_relaxed)))
		*found = a;
}

struct account *accounts_any(struct accounts *as)
{
	struct account *a;

	pthread_mutex_lock(&as->lock);
	a = as->last;
	if (a && unlikely(has_expired(a))) {
		a = NULL;
		map_each(&as->by_user, take_usable, &a);
	}
	if (a)
		account_ref(a);
	pthread_mutex_unlock(&as->lock);
	return a;
}

bool accounts_passthrough(struct accounts *as)
{
	bool p;

	pthread_mutex_lock(&as->lock);
	p = as->passthrough;
	pthread_mutex_unlock(&as->lock);
	return p;
}

/* A reference to the account of that name whose password is the file's still, or to a new one. */
static struct account *kept_or_new(struct accounts *as, struct span user, struct span password)
{
	struct account *a;

	pthread_mutex_lock(&as->lock);
	a = find_locked(as, user);
	if (a && a->configured && span_eq(secret_text(a->password), password))
		account_ref(a);
	else
		a = NULL;
	pthread_mutex_unlock(&as->lock);
	if (a)
		return a;
	a = account_new(user, password);
	if (a)
		a->configured = true;
	return a;
}

struct keep_arg {
	struct accounts *as;
	struct account *const *kept; /* configured ones that stay */
	size_t n;
};

static void drop_other(struct map_node *node, void *arg)
{
	const struct keep_arg *k = arg;
	struct account *a = container_of(node, struct account, node);

	for (size_t i = 0; i < k->n; i++)
		if (k->kept[i] == a)
			return;
	if (!a->configured)
		return;
	map_remove(&k->as->by_user, node);
	account_unref(a);
}

/* Puts first: that fails in an empty table only, and before anything was changed. */
static enum rc replace_locked(struct accounts *as, struct account *const *fresh, size_t n)
{
	struct keep_arg k = {.as = as, .kept = fresh, .n = n};

	for (size_t i = 0; i < n; i++)
		if (put_locked(as, fresh[i]) != RC_OK)
			return RC_ERROR;
	map_each(&as->by_user, drop_other, &k);
	return RC_OK;
}

enum rc accounts_configure(struct accounts *as, const struct settings *s)
{
	struct account **fresh = mem_zalloc((s->nusers + 1) * sizeof(*fresh));
	enum rc rc = fresh ? RC_OK : RC_ERROR;
	size_t n = 0;

	for (size_t i = 0; rc == RC_OK && i < s->nusers; i++) {
		if (s->users[i].passthrough || !s->users[i].name)
			continue;
		fresh[n] = kept_or_new(as, span_str(s->users[i].name), secret_text(s->users[i].password));
		if (fresh[n])
			n++;
		else
			rc = RC_ERROR;
	}
	if (rc == RC_OK) {
		pthread_mutex_lock(&as->lock);
		rc = replace_locked(as, fresh, n);
		if (rc == RC_OK)
			as->passthrough = s->passthrough;
		pthread_mutex_unlock(&as->lock);
	}
	for (size_t i = 0; i < n; i++)
		account_unref(fresh[i]);
	mem_free(fresh);
	return rc;
}

struct accounts *accounts_new(const struct settings *s)
{
	struct accounts *as = mem_zalloc(sizeof(*as));

	if (!as)
		return NULL;
	pthread_mutex_init(&as->lock, NULL);
	as->epoch = ACCOUNTS_FIRST_EPOCH;
	map_init(&as->by_user, account_eq);
	if (accounts_configure(as, s) != RC_OK) {
		accounts_free(as);
		return NULL;
	}
	return as;
}

static void drop_one(struct map_node *node, void *arg)
{
	struct accounts *as = arg;

	map_remove(&as->by_user, node);
	account_unref(container_of(node, struct account, node));
}

void accounts_free(struct accounts *as)
{
	if (!as)
		return;
	map_each(&as->by_user, drop_one, as);
	map_reset(&as->by_user);
	account_unref(as->last);
	pthread_mutex_destroy(&as->lock);
	mem_free(as);
}
