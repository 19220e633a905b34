/*
 * policy.h - plain caches, bounded in bytes, to compare the store with: FIFO, LRU, and W-TinyLFU (Einziger, Friedman and Manes,
 * "TinyLFU: a highly efficient cache admission policy", 2017: a window of a hundredth, a segmented LRU behind it, and a sketch
 * of how often keys were asked for that decides who may enter there).
 */
#ifndef SUIMON_BENCH_POLICY_H
#define SUIMON_BENCH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum policy_kind { POLICY_FIFO, POLICY_LRU, POLICY_TINYLFU, POLICIES };

extern const char *const policy_name[POLICIES];

struct policy;

/* charge: what a key's result costs, in bytes. Ends the process without memory. */
struct policy *policy_new(enum policy_kind kind, uint64_t limit, uint64_t (*charge)(uint32_t key));
void policy_free(struct policy *p);
bool policy_request(struct policy *p, uint32_t key); /* true: a hit; else it is stored */

#endif
