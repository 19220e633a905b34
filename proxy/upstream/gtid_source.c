#include "gtid_source.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct source {
	uint32_t number;
	char text[GTID_SOURCE_CAP];
};

/* Entries are written once, before the count that shows them: reading takes no lock. */
static struct {
	pthread_mutex_t lock; /* of adding */
	_Atomic unsigned n;
	struct source at[GTID_SOURCES];
} sources = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_uuid(struct span s)
{
	if (s.len != GTID_UUID_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s.p[i] != '-' : !isxdigit((unsigned char)s.p[i]))
			return false;
	}
	return true;
}

static bool is_tag(struct span s)
{
	if (s.len > GTID_TAG_MAX || (s.len && isdigit((unsigned char)s.p[0])))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_')
			return false;
	return true;
}

/* FNV-1a */
static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static const struct source *find(uint32_t number, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (sources.at[i].number == number)
			return &sources.at[i];
	return NULL;
}

static enum rc add(uint32_t number, const char *text)
{
	enum rc rc = RC_OK;
	const struct source *s;
	unsigned n;

	pthread_mutex_lock(&sources.lock);
	n = atomic_load_explicit(&sources.n, memory_order_relaxed);
	s = find(number, n);
	if (s) {
		rc = strcmp(s->text, text) == 0 ? RC_OK : RC_ERROR;
	} else if (n == GTID_SOURCES) {
		rc = RC_ERROR;
	} else {
		sources.at[n].number = number;
		memcpy(sources.at[n].text, text, strlen(text) + 1);
		atomic_store_explicit(&sources.n, n + 1, memory_order_release);
	}
	pthread_mutex_unlock(&sources.lock);
	return rc;
}

enum rc gtid_source_number(struct span uuid, struct span tag, uint32_t *out)
{
	char text[GTID_SOURCE_CAP];
	const struct source *s;
	size_t len = 0;

	if (!is_uuid(uuid) || !is_tag(tag))
		return RC_ERROR;
	for (size_t i = 0; i < uuid.len; i++)
		text[len++] = (char)tolower((unsigned char)uuid.p[i]);
	if (tag.len)
		text[len++] = ':';
	for (size_t i = 0; i < tag.len; i++)
		text[len++] = (char)tolower((unsigned char)tag.p[i]);
	text[len] = '\0';
	*out = hash(text);
	s = find(*out, atomic_load_explicit(&sources.n, memory_order_acquire));
	if (s)
		return strcmp(s->text, text) == 0 ? RC_OK : RC_ERROR;
	return add(*out, text);
}

const char *gtid_source_text(uint32_t number)
{
	const struct source *s = find(number, atomic_load_explicit(&sources.n, memory_order_acquire));

	return s ? s->text : NULL;
}
