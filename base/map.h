/*
 * map.h - an intrusive hash map: the object embeds a node, the caller brings the hash and the comparison.
 * Chained, doubling; owned by one thread. Hashing of keys: XXH3_64bits with a process-wide random seed (map_hash).
 */
#ifndef SUIMON_MAP_H
#define SUIMON_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rc.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

/* True when the object that embeds node has this key. */
typedef bool (*map_eq_fn)(const struct map_node *node, const void *key);

struct map {
	struct map_node **buckets; /* owned */
	size_t size;               /* buckets, a power of two; 0 before the first insert */
	size_t count;
	map_eq_fn eq;
};

void map_init(struct map *m, map_eq_fn eq);
void map_reset(struct map *m); /* forgets all nodes (does not free the objects), frees the buckets */
struct map_node *map_find(const struct map *m, uint64_t hash, const void *key);
/* RC_ERROR: no memory. Does not test for a twin. */
enum rc map_insert(struct map *m, struct map_node *node, uint64_t hash) must_check;
void map_remove(struct map *m, struct map_node *node); /* must be in the map */
/* Gives back the buckets that so few nodes have no use for. */
void map_fit(struct map *m);
/* Of one bucket: each node is replaced by what fn makes of it, a copy of it or itself. Returns how many. The map is not empty; bucket: any number. */
size_t map_replace_each(struct map *m, size_t bucket, struct map_node *(*fn)(struct map_node *node));
/* Calls fn on every node; fn may remove (and free) the node it is given, no other. */
void map_each(struct map *m, void (*fn)(struct map_node *node, void *arg), void *arg);

/* The process-wide seeded hash for keys that clients choose, so that nobody can aim at one bucket. */
uint64_t map_hash(const void *key, size_t len);

#endif
