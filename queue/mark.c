/*
 * mark.c - see mark.h.
 */
#include "mark.h"

#include "clock.h"

#define KNOWN_PATIENCE_NS (3 * NS_PER_SEC)     /* of who had seen the noted one here: its store has lost all, or is another now */
#define STRANGER_PATIENCE_NS (30 * NS_PER_SEC) /* of who never did: longer than a restart of those who have */

static bool agrees(const struct mark *m)
{
	return m->store && m->store == m->noted;
}

static bool differs(const struct mark *m)
{
	return m->store && m->noted && m->store != m->noted;
}

void mark_look(struct mark_view *v, const struct mark *lane, unsigned n, bool seen, uint64_t now_ns)
{
	bool known = false, fresh = true;

	v->kin = v->rival = v->given_up = false;
	for (unsigned i = 0; i < n; i++) {
		v->kin |= agrees(&lane[i]);
		if (!differs(&lane[i]))
			continue;
		v->rival = true;
		fresh &= lane[i].fresh;
		known |= lane[i].ours == lane[i].noted;
	}
	if (!v->rival || v->kin) {
		v->since_ns = 0;
		v->stays = false;
		return;
	}
	if (!v->since_ns || seen)
		v->since_ns = now_ns;
	v->stays |= seen && !known;
	v->given_up = fresh && !v->stays && now_ns - v->since_ns > (known ? KNOWN_PATIENCE_NS : STRANGER_PATIENCE_NS);
}

enum mark_step mark_step(const struct mark_view *v, const struct mark *m, bool first)
{
	if (!m->store)
		return MARK_WAIT;
	if (agrees(m))
		return MARK_OURS;
	if (differs(m))
		return m->fresh && (v->kin || v->given_up) ? MARK_REPLACE : MARK_FOREIGN;
	if (v->kin || (first && !v->rival))
		return MARK_NOTE;
	return v->rival ? MARK_FOREIGN : MARK_WAIT;
}
