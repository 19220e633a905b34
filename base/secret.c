/*
 * secret.c - secrets live in pages of their own: left out of core dumps, locked against swapping where the limit allows.
 *
 * Slots come in a few sizes, each with its free list; pages are kept for the life of the process. A text too long for
 * the largest slot gets a mapping of its own.
 */
#include "secret.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mem.h"

#define ARENA_BYTES (64 * 1024) /* a multiple of every page size in use */

struct secret {
	_Atomic uint32_t refs;
	uint32_t slot_class; /* index into slot_bytes; countof(slot_bytes) = a mapping of its own */
	size_t len;
	struct secret *next; /* on the free list, or among the environment's */
	char text[];         /* len bytes and a NUL */
};

static const size_t slot_bytes[] = {64, 256, 1024, 4096};
static struct secret *free_slots[countof(slot_bytes)];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void secret_wipe(void *p, size_t len)
{
	if (len)
		explicit_bzero(p, len);
}

/* Best effort, this and the locking: an old kernel or a low RLIMIT_MEMLOCK must not keep the product from starting. */
void *secret_pages(size_t bytes)
{
	void *p;

	if (mem_refuse())
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		mem_failed();
		return NULL;
	}
	(void)madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

void secret_pages_free(void *p, size_t bytes)
{
	if (!p)
		return;
	secret_wipe(p, bytes);
	(void)munmap(p, bytes);
}

static void *map_pages(size_t bytes)
{
	void *p = secret_pages(bytes);

	if (p)
		(void)mlock(p, bytes);
	return p;
}

/* Cuts a fresh arena into slots. The lock is held. */
static enum rc refill(uint32_t slot_class)
{
	char *arena = map_pages(ARENA_BYTES);

	if (!arena)
		return RC_ERROR;
	for (size_t at = 0; at + slot_bytes[slot_class] <= ARENA_BYTES; at += slot_bytes[slot_class]) {
		struct secret *s = (struct secret *)(void *)(arena + at);

		s->next = free_slots[slot_class];
		free_slots[slot_class] = s;
	}
	return RC_OK;
}

static struct secret *take_slot(uint32_t slot_class)
{
	struct secret *s = NULL;

	pthread_mutex_lock(&lock);
	if (free_slots[slot_class] || refill(slot_class) == RC_OK) {
		s = free_slots[slot_class];
		free_slots[slot_class] = s->next;
	}
	pthread_mutex_unlock(&lock);
	return s;
}

struct secret *secret_new(struct span text)
{
	size_t bytes = sizeof(struct secret) + 1;
	uint32_t slot_class = 0;
	struct secret *s;

	if (text.len > SIZE_MAX / 2 || mem_refuse())
		return NULL;
	bytes += text.len;
	while (slot_class < countof(slot_bytes) && slot_bytes[slot_class] < bytes)
		slot_class++;
	s = slot_class < countof(slot_bytes) ? take_slot(slot_class) : map_pages(bytes);
	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->slot_class = slot_class;
	s->len = text.len;
	s->next = NULL;
	if (text.len)
		memcpy(s->text, text.p, text.len);
	s->text[text.len] = '\0';
	return s;
}

struct secret *secret_ref(struct secret *s)
{
	if (s)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void secret_unref(struct secret *s)
{
	uint32_t before, slot_class;

	if (!s)
		return;
	before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before != 1)
		return;
	slot_class = s->slot_class;
	if (slot_class == countof(slot_bytes)) {
		size_t bytes = sizeof(*s) + s->len + 1;

		secret_wipe(s, bytes);
		(void)munmap(s, bytes);
		return;
	}
	secret_wipe(s, slot_bytes[slot_class]);
	pthread_mutex_lock(&lock);
	s->next = free_slots[slot_class];
	free_slots[slot_class] = s;
	pthread_mutex_unlock(&lock);
}

struct span secret_text(const struct secret *s)
{
	return s ? span_of(s->text, s->len) : span_of("", 0);
}

/* ---- the environment ---- */

extern char **environ;
static struct secret *variables; /* "NAME=value"; a reference each */
static pthread_mutex_t variables_lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_moved(const char *value)
{
	for (const struct secret *s = variables; s; s = s->next)
		if (value > s->text && value <= s->text + s->len)
			return true;
	return false;
}

/* What was moved under this name before it was set anew; head ends with =. */
static void forget_variable(struct span head)
{
	for (struct secret **at = &variables; *at; at = &(*at)->next) {
		struct secret *s = *at;

		if (s->len < head.len || memcmp(s->text, head.p, head.len) != 0)
			continue;
		*at = s->next;
		secret_unref(s);
		return;
	}
}

/* Best effort, as the pages are: where there is no room the value stays where it is. */
static const char *move_variable(const char *name, char *value)
{
	size_t head = strlen(name) + 1;
	char *var = value - head, **at = environ;
	struct secret *s;

	while (*at && *at != var)
		at++;
	s = *at ? secret_new(span_str(var)) : NULL;
	if (!s)
		return value;
	forget_variable(span_of(var, head));
	s->next = variables;
	variables = s;
	*at = s->text;
	secret_wipe(value, strlen(value));
	return s->text + head;
}

const char *secret_env(const char *name)
{
	const char *value;
	char *found;

	pthread_mutex_lock(&variables_lock);
	found = getenv(name);
	value = found && *found && !is_moved(found) ? move_variable(name, found) : found;
	pthread_mutex_unlock(&variables_lock);
	return value;
}
