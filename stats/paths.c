/*
 * paths.c - do a statement's JSON paths stay the same? They are literals, so that statements that look for different members have one
 * digest; a generated column would serve one of them.
 *
 * Paths are told by their beginning, '$: another string that begins so counts as one, and then they vary.
 */
#include "core.h"
#include "paths.h"

#define MOST_TEXT 4096 /* that is looked at, of each statement */

bool paths_in(const char *text)
{
	return strcasestr(text, "json_") || strstr(text, "->");
}

/* Of all that stand there; never 0. */
static uint64_t hash_of(struct span text)
{
	const char *p = text.p, *end = p + (text.len < MOST_TEXT ? text.len : MOST_TEXT), *quote;
	uint64_t hash = 1;

	while (p < end && (p = memchr(p, '$', (size_t)(end - p))) != NULL) {
		bool begins = p > text.p && (p[-1] == '\'' || p[-1] == '"');

		quote = begins ? memchr(p, p[-1], (size_t)(end - p)) : NULL;
		if (quote)
			hash = stats_mix(hash, map_hash(p, (size_t)(quote - p)));
		p = quote ? quote + 1 : p + 1;
	}
	return hash > 1 && hash != PATHS_VARY ? hash : 1;
}

void paths_note(struct stats_digest *d, struct span text)
{
	uint64_t before = atomic_load_explicit(&d->paths, memory_order_relaxed), now;

	if (before == PATHS_VARY)
		return;
	now = hash_of(text);
	if (before == now)
		return;
	if (before == 0 && atomic_compare_exchange_strong(&d->paths, &before, now))
		return;
	if (before != now)
		atomic_store_explicit(&d->paths, PATHS_VARY, memory_order_relaxed);
}

uint64_t paths_together(uint64_t a, uint64_t b)
{
	if (a == 0 || a == b)
		return b;
	return b == 0 ? a : PATHS_VARY;
}
