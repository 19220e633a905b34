#include "topology.h"

#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define DISCOVERED_MOST 48                /* places for servers that discovery finds; Aurora has at most 16 in a cluster */
#define LOOK_AGAIN_NS (50 * NS_PER_MS)

/* ---- the list ---- */

static enum rc add(struct topology *t, struct backend *b)
{
	size_t n = atomic_load_explicit(&t->n, memory_order_relaxed);

	if (!b || n == t->cap) {
		backend_free(b);
		return RC_ERROR;
	}
	atomic_store_explicit(&t->all[n], b, memory_order_release);
	atomic_store_explicit(&t->n, n + 1, memory_order_release);
	return RC_OK;
}

struct topology *topology_new(const struct settings *s)
{
	struct topology *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->cap = 1 + s->nreplicas + (s->discovery_aurora ? DISCOVERED_MOST : 0);
	t->all = mem_zalloc(t->cap * sizeof(*t->all));
	if (!t->all || add(t, backend_new(&s->primary, BACKEND_PRIMARY, 1)) != RC_OK) {
		topology_free(t);
		return NULL;
	}
	t->primary = t->all[0];
	for (size_t i = 0; i < s->nreplicas; i++) {
		if (add(t, backend_new(&s->replicas[i].addr, BACKEND_REPLICA, s->replicas[i].weight)) != RC_OK) {
			topology_free(t);
			return NULL;
		}
	}
	return t;
}

void topology_free(struct topology *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		backend_free(t->all[i]);
	mem_free(t->all);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

struct backend *topology_primary(const struct topology *t)
{
	return atomic_load_explicit(&t->primary, memory_order_acquire);
}

struct backend *topology_find(const struct topology *t, const char *text)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->all[i]->text, text) == 0)
			return t->all[i];
	return NULL;
}

/* ---- reads ---- */

/* Least outstanding for its weight, in 1/1024ths. A weight of 0 serves when nobody else does. */
static uint64_t load_of(const struct backend *b)
{
	uint64_t active = atomic_load_explicit(&b->active, memory_order_relaxed);

	return b->weight > 0 ? (active + 1) * 1024 / (uint64_t)b->weight : UINT64_MAX / 4;
}

/* What a read in its session's past saw, this replica has, too. */
static bool is_past(const struct backend *b, const struct topology_wish *wish, uint64_t now)
{
	return !wish->read_ns || b == wish->prefer || backend_fresh(b) >= wish->read_ns ||
	       now - wish->read_ns >= wish->window_ns;
}

struct backend *topology_replica(const struct topology *t, const struct topology_wish *wish)
{
	static const struct topology_wish nothing;
	struct backend *best = NULL;
	uint64_t best_load = UINT64_MAX, now;

	wish = wish ? wish : &nothing;
	now = wish->read_ns ? clock_mono_ns() : 0;
	for (size_t i = 0; i < t->n; i++) {
		struct backend *b = t->all[i];
		uint64_t load;

		if (atomic_load_explicit(&b->role, memory_order_acquire) != BACKEND_REPLICA ||
		    backend_state(b) != BACKEND_UP || !is_past(b, wish, now))
			continue;
		load = load_of(b);
		if (b == wish->prefer) /* kept unless twice as busy: moving costs a look at how far the other one is */
			load /= 2;
		if (!best || load < best_load) {
			best = b;
			best_load = load;
		}
	}
	return best;
}

/* ---- who is the primary ---- */

/* Takes writes, and not by mistake: a replica that merely is not read-only must not become the primary when the real one
 * restarts. */
static bool is_promoted(const struct backend *b)
{
	enum backend_state s = backend_state(b);

	return (s == BACKEND_UP || s == BACKEND_LAGGING) &&
	       atomic_load_explicit(&b->access, memory_order_acquire) == BACKEND_WRITABLE &&
	       (b->was_read_only || b->source == BACKEND_NO_SOURCE);
}

static bool is_fine(const struct backend *b)
{
	return backend_usable(b) && atomic_load_explicit(&b->access, memory_order_acquire) != BACKEND_READ_ONLY;
}

static void move(struct topology *t, struct backend *from, struct backend *to)
{
	atomic_store_explicit(&to->role, BACKEND_PRIMARY, memory_order_release);
	atomic_store_explicit(&t->primary, to, memory_order_release);
	atomic_store_explicit(&from->role, BACKEND_REPLICA, memory_order_release);
	atomic_store_explicit(&t->primary_asked_ns, 0, memory_order_release);
	to->was_read_only = false;
	atomic_store_explicit(&to->lag_ns, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->moves, 1, memory_order_relaxed);
	log_warn("topology", "another server is the primary", "addr=%s was=%s which=\"%s\"", to->text, from->text,
		 backend_state(from) == BACKEND_DOWN       ? "does not answer"
		 : backend_state(from) == BACKEND_DISABLED ? "is disabled"
							   : "is read-only");
	backend_set_state(to, BACKEND_UP, "promoted");
	if (backend_state(from) == BACKEND_UP)
		backend_set_state(from, BACKEND_LAGGING, "it was the primary: whether it replicates is not known yet");
	atomic_store_explicit(&from->fresh_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&from->lag_ns, BACKEND_LAG_UNKNOWN, memory_order_relaxed);
	if (t->on_moved)
		t->on_moved(t->moved_arg, from, to);
}

static void tell_writable(struct topology *t, uint32_t n, const struct backend *stays)
{
	uint32_t before = atomic_exchange_explicit(&t->writable, n, memory_order_relaxed);

	if (n > 1 && before <= 1)
		log_error("topology", "several servers take writes: suimon stays with one, the others should be read-only",
			  "primary=%s servers=%u", stays->text, n);
	else if (n <= 1 && before > 1)
		log_info("topology", "no more than one server takes writes", "primary=%s", stays->text);
}

static void judge(struct topology *t)
{
	struct backend *now = topology_primary(t), *other = NULL;
	uint32_t others = 0;
	bool fine = is_fine(now);

	for (size_t i = 0; i < t->n; i++) {
		struct backend *b = t->all[i];

		if (b != now && is_promoted(b)) {
			other = b;
			others++;
		}
	}
	if (!fine && others == 1) {
		move(t, now, other);
		others = 0;
		fine = true;
		now = other;
	}
	tell_writable(t, others + (fine ? 1 : 0), now);
}

void topology_judge(struct topology *t)
{
	pthread_mutex_lock(&t->lock);
	judge(t);
	pthread_mutex_unlock(&t->lock);
}

/* ---- what was seen ---- */

static void set_access(struct backend *b, enum backend_access now)
{
	uint64_t since = 0;

	if (now == BACKEND_READ_ONLY)
		(void)atomic_compare_exchange_strong_explicit(&b->read_only_ns, &since, clock_mono_ns(),
							      memory_order_relaxed, memory_order_relaxed);
	else
		atomic_store_explicit(&b->read_only_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&b->access, (int)now, memory_order_release);
}

void topology_saw(struct topology *t, struct backend *b, const struct topology_sight *s)
{
	pthread_mutex_lock(&t->lock);
	set_access(b, s->read_only ? BACKEND_READ_ONLY : BACKEND_WRITABLE);
	b->was_read_only |= s->read_only;
	b->source = !s->may_ask ? BACKEND_SOURCE_UNKNOWN : s->replicates ? BACKEND_HAS_SOURCE : BACKEND_NO_SOURCE;
	judge(t);
	pthread_mutex_unlock(&t->lock);
}

void topology_doubt(struct topology *t, struct backend *b)
{
	if (atomic_load_explicit(&b->access, memory_order_acquire) != BACKEND_READ_ONLY) {
		pthread_mutex_lock(&t->lock);
		set_access(b, BACKEND_READ_ONLY);
		judge(t);
		pthread_mutex_unlock(&t->lock);
	}
	topology_look(t);
}

void topology_look(struct topology *t)
{
	uint64_t now = clock_mono_ns(), before = atomic_load_explicit(&t->looked_ns, memory_order_relaxed);

	if (now - before < LOOK_AGAIN_NS || !t->on_look ||
	    !atomic_compare_exchange_strong_explicit(&t->looked_ns, &before, now, memory_order_relaxed,
						     memory_order_relaxed))
		return;
	t->on_look(t->look_arg);
}

uint64_t topology_read_only_for(const struct backend *b)
{
	uint64_t since = atomic_load_explicit(&b->read_only_ns, memory_order_relaxed);

	return since ? clock_mono_ns() - since : 0;
}
