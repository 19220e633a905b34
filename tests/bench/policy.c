#include "policy.h"

#include <stdlib.h>

#include "list.h"
#include "map.h"

#define WINDOW_SHARE 100       /* one in so many bytes */
#define PROTECTED_OF_MAIN 0.8
#define SKETCH_ROWS 4
#define SKETCH_BITS 16         /* counters a row, as a power of two */
#define SKETCH_MOST 15
#define SKETCH_AGE 10          /* requests an entry, after which all counters are halved */

const char *const policy_name[POLICIES] = {"fifo", "lru", "w-tinylfu"};

enum part { WINDOW, PROBATION, PROTECTED, PARTS }; /* FIFO and LRU have the first alone */

struct item {
	struct map_node node;
	struct list_node order;
	uint32_t key;
	enum part part;
};

struct policy {
	enum policy_kind kind;
	uint64_t (*charge)(uint32_t key);
	struct map map;
	struct list list[PARTS]; /* next to go first */
	uint64_t bytes[PARTS], most[PARTS];
	uint64_t main_most; /* of probation and protected together */
	uint8_t sketch[SKETCH_ROWS][1 << SKETCH_BITS];
	uint64_t counted;
};

static bool item_eq(const struct map_node *node, const void *key)
{
	return container_of(node, struct item, node)->key == *(const uint32_t *)key;
}

struct policy *policy_new(enum policy_kind kind, uint64_t limit, uint64_t (*charge)(uint32_t key))
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->kind = kind;
	p->charge = charge;
	map_init(&p->map, item_eq);
	for (unsigned i = 0; i < PARTS; i++)
		list_init(&p->list[i]);
	p->most[WINDOW] = kind == POLICY_TINYLFU ? limit / WINDOW_SHARE : limit;
	p->main_most = limit - p->most[WINDOW];
	p->most[PROTECTED] = (uint64_t)((double)p->main_most * PROTECTED_OF_MAIN);
	return p;
}

static void put(struct policy *p, struct item *i, enum part part)
{
	i->part = part;
	list_push_back(&p->list[part], &i->order);
	p->bytes[part] += p->charge(i->key);
}

static void take(struct policy *p, struct item *i)
{
	list_remove(&p->list[i->part], &i->order);
	p->bytes[i->part] -= p->charge(i->key);
}

static void evict(struct policy *p, struct item *i)
{
	take(p, i);
	map_remove(&p->map, &i->node);
	free(i);
}

static struct item *next_to_go(struct policy *p, enum part part)
{
	return list_empty(&p->list[part]) ? NULL : container_of(list_first(&p->list[part]), struct item, order);
}

void policy_free(struct policy *p)
{
	struct item *i;

	for (unsigned part = 0; part < PARTS; part++)
		while ((i = next_to_go(p, part)))
			evict(p, i);
	map_reset(&p->map);
	free(p);
}

/* ---- how often keys were asked for ---- */

static uint8_t *counter(struct policy *p, unsigned row, uint64_t hash)
{
	return &p->sketch[row][hash >> (row * SKETCH_BITS) & ((1 << SKETCH_BITS) - 1)];
}

static uint8_t frequency(struct policy *p, uint64_t hash)
{
	uint8_t least = SKETCH_MOST;

	for (unsigned row = 0; row < SKETCH_ROWS; row++)
		if (*counter(p, row, hash) < least)
			least = *counter(p, row, hash);
	return least;
}

static void count(struct policy *p, uint64_t hash)
{
	uint8_t before = frequency(p, hash);

	for (unsigned row = 0; row < SKETCH_ROWS && before < SKETCH_MOST; row++)
		if (*counter(p, row, hash) == before)
			++*counter(p, row, hash);
	if (++p->counted < SKETCH_AGE * (p->map.count + 1))
		return;
	p->counted = 0;
	for (unsigned row = 0; row < SKETCH_ROWS; row++)
		for (unsigned i = 0; i < 1 << SKETCH_BITS; i++)
			p->sketch[row][i] /= 2;
}

/* ---- requests ---- */

static void hit(struct policy *p, struct item *i)
{
	struct item *last;

	if (p->kind == POLICY_FIFO)
		return;
	take(p, i);
	put(p, i, i->part == WINDOW ? WINDOW : PROTECTED);
	while (p->bytes[PROTECTED] > p->most[PROTECTED] && (last = next_to_go(p, PROTECTED)) != i) {
		take(p, last);
		put(p, last, PROBATION);
	}
}

/* Out of the window: into probation, where it is asked for more often than all whose place it would take. */
static void enter_main(struct policy *p, struct item *i)
{
	uint8_t own = frequency(p, i->node.hash);

	take(p, i);
	put(p, i, PROBATION);
	while (p->bytes[PROBATION] + p->bytes[PROTECTED] > p->main_most) {
		struct item *victim = next_to_go(p, PROBATION);

		if (victim == i)
			victim = next_to_go(p, PROTECTED);
		if (!victim || frequency(p, victim->node.hash) >= own) {
			evict(p, i);
			return;
		}
		evict(p, victim);
	}
}

bool policy_request(struct policy *p, uint32_t key)
{
	uint64_t hash = map_hash(&key, sizeof(key));
	struct map_node *n = map_find(&p->map, hash, &key);
	struct item *i;

	if (p->kind == POLICY_TINYLFU)
		count(p, hash);
	if (n) {
		hit(p, container_of(n, struct item, node));
		return true;
	}
	i = calloc(1, sizeof(*i));
	if (!i || map_insert(&p->map, &i->node, hash) != RC_OK)
		abort();
	i->key = key;
	put(p, i, WINDOW);
	while (p->bytes[WINDOW] > p->most[WINDOW]) {
		if (p->kind == POLICY_TINYLFU)
			enter_main(p, next_to_go(p, WINDOW));
		else
			evict(p, next_to_go(p, WINDOW));
	}
	return false;
}
