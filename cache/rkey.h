/*
 * rkey.h - the names things have in Redis, and the slots that tags hash to. Same in every instance.
 */
#ifndef SUIMON_CACHE_RKEY_H
#define SUIMON_CACHE_RKEY_H

#include <stdint.h>

#include "cache.h"
#include "rc.h"
#include "span.h"

/* 2: the format of everything stored and published; another format shares nothing with it. In braces, so that a cluster keeps
 * all of it on one node: a look-up and a script need the tokens together. Behind it may stand a name: {suimon:2:NAME}: */
#define RKEY_HASH_TAG "suimon:2"
#define RKEY_SLOTS 65536
#define RKEY_TABLE_SLOTS 16384 /* of these, for tables and their parts; the rest is for rows */
#define RKEY_TOKEN_LEN 16
#define RKEY_NAME_MAX 96

struct rkey {
	char text[RKEY_NAME_MAX]; /* NUL-terminated */
	size_t len;
};

/* Who shares a Redis and has the same names shares what is stored and hears of the others' writes; nobody else does. */
struct rkeys {
	struct rkey prefix, bus, ledger;
	uint16_t cluster_slot; /* of Redis Cluster, for all of them */
};
enum rc rkeys_init(struct rkeys *k, struct span name) must_check; /* empty: none. RC_ERROR: not one of letters, digits, - and _ */

/* Rows have slots of their own: there are many, and one that is written must not take a whole table along. */
static inline uint32_t rkey_slot(cache_tag tag)
{
	uint64_t hash = tag >> 2;

	switch (tag & CACHE_TAG_KIND) {
	case CACHE_TAG_ROW:
		return RKEY_TABLE_SLOTS + (uint32_t)(hash % (RKEY_SLOTS - RKEY_TABLE_SLOTS));
	case CACHE_TAG_ROWS: /* has its table's hash, and must not have its slot */
		return (uint32_t)((hash ^ 1) % RKEY_TABLE_SLOTS);
	default:
		return (uint32_t)(hash % RKEY_TABLE_SLOTS);
	}
}

struct rkey rkey_token(const struct rkeys *k, uint32_t slot);     /* the token of a slot */
struct rkey rkey_token_all(const struct rkeys *k);                /* the token every value depends on */
struct rkey rkey_value(const struct rkeys *k, struct span key);   /* a value: 128 bits of hash; the value holds the key in full */
uint64_t rkey_bus_id(const char *url); /* never 0: whoever has the same hears of the others' writes */

static inline struct span rkey_span(const struct rkey *n)
{
	return span_of(n->text, n->len);
}

#endif
