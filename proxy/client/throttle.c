#include "throttle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "cidr.h"
#include "list.h"
#include "map.h"
#include "mem.h"

struct address {
	struct map_node node;
	struct list_node order;
	uint8_t key[16];
	uint64_t paid_ns; /* when it will have got back all that it has spent */
	uint64_t told_ns; /* when the last failure that is told late is told */
};

struct throttle {
	pthread_mutex_t lock;
	struct map by_key;
	struct list order;      /* the last to fail in front */
	_Atomic size_t count;   /* 0: nobody fails, and nobody need take the lock */
};

static bool address_eq(const struct map_node *node, const void *key)
{
	return memcmp(container_of(node, struct address, node)->key, key, 16) == 0;
}

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* before an IPv4 address */

static bool is_loopback(const uint8_t key[16])
{
	static const uint8_t six[16] = {[15] = 1};

	return memcmp(key, six, sizeof(six)) == 0 || (memcmp(key, mapped, sizeof(mapped)) == 0 && key[12] == 127);
}

static bool is_this_host(const uint8_t key[16])
{
	static const uint8_t none[16];

	return memcmp(key, none, sizeof(none)) == 0;
}

/* false: not an address that counts. */
static bool key_of(const char *peer, uint8_t key[16])
{
	if (cidr_address(peer, key) != RC_OK)
		return false;
	if (is_loopback(key))
		memset(key, 0, 16); /* one host, whichever of its sixteen million addresses somebody takes */
	else if (memcmp(key, mapped, sizeof(mapped)) != 0)
		memset(key + 8, 0, 8);
	return true;
}

static struct address *find(struct throttle *t, const uint8_t key[16])
{
	struct map_node *n = map_find(&t->by_key, map_hash(key, 16), key);

	return n ? container_of(n, struct address, node) : NULL;
}

static void forget(struct throttle *t, struct address *a)
{
	map_remove(&t->by_key, &a->node);
	list_remove(&t->order, &a->order);
	atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
	mem_free(a);
}

static struct address *remember(struct throttle *t, const uint8_t key[16])
{
	struct address *a;

	if (t->order.count >= THROTTLE_MOST)
		forget(t, container_of(list_last(&t->order), struct address, order));
	a = mem_zalloc(sizeof(*a));
	if (!a)
		return NULL;
	memcpy(a->key, key, 16);
	if (map_insert(&t->by_key, &a->node, map_hash(key, 16)) != RC_OK) {
		mem_free(a);
		return NULL;
	}
	list_push_front(&t->order, &a->order);
	atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
	return a;
}

/* With the lock held: the address, if it has none left. */
static struct address *find_spent(struct throttle *t, const uint8_t key[16], uint64_t now)
{
	struct address *a = find(t, key);

	if (a && a->paid_ns <= now) {
		forget(t, a);
		return NULL;
	}
	return a && a->paid_ns - now > (THROTTLE_BURST - 1) * THROTTLE_BACK_NS ? a : NULL;
}

bool throttle_blocks(struct throttle *t, const char *peer, uint64_t now)
{
	uint8_t key[16];
	bool blocks;

	if (atomic_load_explicit(&t->count, memory_order_relaxed) == 0 || !key_of(peer, key) || is_this_host(key))
		return false;
	pthread_mutex_lock(&t->lock);
	blocks = find_spent(t, key, now) != NULL;
	pthread_mutex_unlock(&t->lock);
	return blocks;
}

uint64_t throttle_delay(struct throttle *t, const char *peer, uint64_t now)
{
	uint8_t key[16];
	struct address *a;
	uint64_t delay = 0;

	if (atomic_load_explicit(&t->count, memory_order_relaxed) == 0 || !key_of(peer, key) || !is_this_host(key))
		return 0;
	pthread_mutex_lock(&t->lock);
	a = find_spent(t, key, now);
	if (a) {
		delay = (a->told_ns > now ? a->told_ns - now : 0) + THROTTLE_BACK_NS;
		if (delay > THROTTLE_LATE_MOST_NS)
			delay = THROTTLE_LATE_MOST_NS;
		a->told_ns = now + delay;
	}
	pthread_mutex_unlock(&t->lock);
	return delay;
}

void throttle_failed(struct throttle *t, const char *peer, uint64_t now)
{
	uint8_t key[16];
	struct address *a;

	if (!key_of(peer, key))
		return;
	pthread_mutex_lock(&t->lock);
	a = find(t, key);
	if (a) {
		list_remove(&t->order, &a->order);
		list_push_front(&t->order, &a->order);
	} else {
		a = remember(t, key);
	}
	if (a) {
		a->paid_ns = (a->paid_ns > now ? a->paid_ns : now) + THROTTLE_BACK_NS;
		/* Connections that stood before the block may fail on: they do not lengthen it. */
		if (a->paid_ns > now + THROTTLE_BURST * THROTTLE_BACK_NS)
			a->paid_ns = now + THROTTLE_BURST * THROTTLE_BACK_NS;
	}
	pthread_mutex_unlock(&t->lock);
}

void throttle_cleared(struct throttle *t, const char *peer)
{
	uint8_t key[16];
	struct address *a;

	if (atomic_load_explicit(&t->count, memory_order_relaxed) == 0 || !key_of(peer, key) || is_this_host(key))
		return;
	pthread_mutex_lock(&t->lock);
	a = find(t, key);
	if (a)
		forget(t, a);
	pthread_mutex_unlock(&t->lock);
}

struct throttle *throttle_new(void)
{
	struct throttle *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	map_init(&t->by_key, address_eq);
	list_init(&t->order);
	return t;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	while (!list_empty(&t->order))
		forget(t, container_of(list_first(&t->order), struct address, order));
	map_reset(&t->by_key);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}
