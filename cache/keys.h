/*
 * keys.h - the names things have in Redis, the slots that tags hash to, and random tokens. Same in every instance.
 */
#ifndef SUIMON_CACHE_KEYS_H
#define SUIMON_CACHE_KEYS_H

#include <stdint.h>

#include "cache.h"
#include "rc.h"
#include "span.h"

#define KEYS_PREFIX "suimon:1:" /* 1: the format of everything stored and published; another format shares nothing with it */
#define KEYS_BUS KEYS_PREFIX "bus"
#define KEYS_SLOTS 65536
#define KEYS_TOKEN_LEN 16
#define KEYS_NAME_MAX 64

struct keys_name {
	char text[KEYS_NAME_MAX]; /* NUL-terminated */
	size_t len;
};

static inline uint32_t keys_slot(cache_tag tag) { return (uint32_t)(tag % KEYS_SLOTS); }

struct keys_name keys_token(uint32_t slot);     /* the token of a slot */
struct keys_name keys_token_all(void);          /* the token every value depends on */
struct keys_name keys_value(struct span key);   /* a value: 128 bits of hash; the value holds the key in full */

/* Bytes nobody can guess and nobody had before. */
enum rc keys_random(void *out, size_t len) must_check;

#endif
