/*
 * topology_roles.c - which server takes the writes, by what has been seen of all of them (see topology.h).
 */
#include "clock.h"
#include "log.h"
#include "topology.h"

#define LOOK_AGAIN_NS (50 * NS_PER_MS)

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

static const char *why_moved(const struct backend *from)
{
	if (from->endpoint)
		return "stood for the cluster, whose servers are known by name now";
	switch (backend_state(from)) {
	case BACKEND_DOWN:
		return "does not answer";
	case BACKEND_DISABLED:
		return "is disabled";
	case BACKEND_GONE:
		return "is gone";
	default:
		return "is read-only";
	}
}

static void move(struct topology *t, struct backend *from, struct backend *to)
{
	atomic_store_explicit(&to->role, BACKEND_PRIMARY, memory_order_release);
	backend_set_state(to, BACKEND_UP, "promoted"); /* first: who finds it must not find a primary that cannot be used */
	atomic_store_explicit(&t->primary, to, memory_order_release);
	atomic_store_explicit(&from->role, BACKEND_REPLICA, memory_order_release);
	to->was_read_only = false;
	atomic_store_explicit(&to->lag_ns, 0, memory_order_relaxed);
	backend_set_fresh(from, 0, 0);
	atomic_store_explicit(&from->lag_ns, BACKEND_LAG_UNKNOWN, memory_order_relaxed);
	log_warn("topology", "another server is the primary", "addr=%s was=%s which=\"%s\"", to->text, from->text,
		 why_moved(from));
	if (!from->endpoint) {
		atomic_fetch_add_explicit(&t->moves, 1, memory_order_relaxed);
		if (backend_state(from) == BACKEND_UP)
			backend_set_state(from, BACKEND_LAGGING,
					  "it was the primary: whether it replicates is not known yet");
	}
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

/* The servers beside the present primary that take writes; *one is the last of them. */
static uint32_t find_promoted(const struct topology *t, const struct backend *now, bool endpoint, struct backend **one)
{
	uint32_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct backend *b = t->all[i];

		if (b != now && b->endpoint == endpoint && is_promoted(b)) {
			*one = b;
			n++;
		}
	}
	return n;
}

static void judge(struct topology *t)
{
	struct backend *now = topology_primary(t), *other = NULL;
	uint32_t others = find_promoted(t, now, false, &other);
	bool fine = is_fine(now);

	if (!fine && others == 0 && find_promoted(t, now, true, &other)) /* its servers' names lead nowhere */
		others = 1;
	if ((!fine || now->endpoint) && others == 1) {
		move(t, now, other);
		others = 0;
		fine = true;
		now = other;
	}
	tell_writable(t, others + (fine && !now->endpoint ? 1 : 0), now);
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
