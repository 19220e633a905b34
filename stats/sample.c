/*
 * sample.c - one statement a digest as it was sent: the slowest seen. Kept only while stats.samples is on (S2).
 */
#include "advice.h"
#include "core.h"

#include "mem.h"

struct stats_sample *stats_sample_new(struct span text)
{
	size_t len = text.len < STATS_SAMPLE_MAX ? text.len : STATS_SAMPLE_MAX;
	struct stats_sample *m = mem_alloc(sizeof(*m) + len + 1);

	if (!m)
		return NULL;
	*m = (struct stats_sample){.cut = text.len > len, .len = len};
	if (len)
		memcpy(m->text, text.p, len);
	m->text[len] = '\0';
	return m;
}

static struct stats_sample *sample_of(const struct stats_event *e)
{
	struct stats_sample *m = stats_sample_new(e->text);

	if (!m)
		return NULL;
	m->total_ns = e->total_ns;
	m->at_ns = e->start_ns;
	m->rows_sent = e->rows_sent;
	return m;
}

/* Slower by an eighth, so that a digest's sample is swapped a few dozen times in its life and no more. */
static bool worth_it(const struct stats_digest *d, const struct stats_event *e)
{
	uint64_t have = atomic_load_explicit(&d->sample_ns, memory_order_relaxed);

	return have == 0 || e->total_ns > have + have / 8;
}

void stats_sample_offer(struct stats *s, struct stats_digest *d, const struct stats_event *e)
{
	struct stats_sample *m, *old;

	if (likely(!worth_it(d, e)) || e->private_text || e->text.len == 0 || !atomic_load(&s->samples))
		return;
	m = sample_of(e);
	if (!m)
		return;
	if (pthread_mutex_trylock(&s->lock) != 0) { /* the next slow one will do */
		mem_free(m);
		return;
	}
	old = m;
	if (d->kept && atomic_load(&s->samples) &&
	    worth_it(d, e)) { /* looked at again: all may have changed meanwhile */
		old = d->sample;
		d->sample = m;
		stats_set(&d->sample_ns, e->total_ns ? e->total_ns : 1);
	}
	pthread_mutex_unlock(&s->lock);
	mem_free(old);
}

static void forget(struct map_node *node, void *arg)
{
	struct stats_digest *d = container_of(node, struct stats_digest, node);

	mem_free(d->sample);
	d->sample = NULL;
	stats_set(&d->sample_ns, 0);
}

void stats_sample_forget(struct stats *s)
{
	pthread_mutex_lock(&s->lock);
	map_each(&s->registry.map, forget, NULL);
	for (uint32_t i = 0; i < s->nadvice; i++)
		advice_forget_values(&s->advice[i]);
	pthread_mutex_unlock(&s->lock);
}

struct stats_sample *stats_sample_copy(struct stats *s, const struct stats_digest *d)
{
	struct stats_sample *copy = NULL;

	pthread_mutex_lock(&s->lock);
	if (d->sample && atomic_load(&s->samples))
		copy = mem_dup(d->sample, sizeof(*d->sample) + d->sample->len + 1);
	pthread_mutex_unlock(&s->lock);
	return copy;
}

void stats_sample_put(struct stats *s, struct stats_digest *d, struct stats_sample *m)
{
	pthread_mutex_lock(&s->lock);
	if (d->kept && !d->sample && atomic_load(&s->samples)) {
		d->sample = m;
		stats_set(&d->sample_ns, m->total_ns ? m->total_ns : 1);
		m = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	mem_free(m);
}
