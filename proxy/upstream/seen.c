#include "seen.h"

#include "clock.h"

enum seen_proof seen_prove(const struct seen *s, const struct topology *t, struct backend *b, uint64_t ready_ns,
			   uint64_t window_ns, struct gtid_pos *floor)
{
	struct backend *primary = topology_primary(t);
	bool positions = backend_asked(primary);

	if (!s->ns || b == primary)
		return SEEN_PROVEN;
	if (b == s->on && (!positions || ready_ns <= s->sent_ns))
		return SEEN_PROVEN;
	if (backend_was_fresh(b, s->ns, positions ? ready_ns : 0))
		return SEEN_PROVEN;
	if (!positions)
		return clock_mono_ns() - s->ns >= window_ns ? SEEN_PROVEN : SEEN_UNKNOWN;
	return backend_position_since(primary, s->ns, floor) ? SEEN_BY_POSITION : SEEN_UNKNOWN;
}

struct backend *seen_choose(const struct seen *s, const struct topology *t, uint64_t window_ns)
{
	struct topology_wish wish = {.prefer = s->on, .read_ns = s->ns, .window_ns = window_ns};

	if (s->ns && backend_asked(topology_primary(t)))
		wish.window_ns = UINT64_MAX; /* positions say it better */
	return topology_replica(t, &wish);
}

bool seen_bounded(const struct seen *s, const struct topology *t)
{
	uint64_t asked_ns = backend_asked(topology_primary(t));

	return asked_ns && asked_ns >= s->ns;
}
