/*
 * shares.c - see shares.h.
 */
#include "shares.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crc32c.h"

uint32_t shares_shard(unsigned workers, unsigned worker)
{
	return workers << 8 | worker;
}

unsigned shares_worker(struct span key, unsigned workers)
{
	return crc32c(0, key.p, key.len) % workers;
}

static struct share *find(struct shares *s, uint32_t shard)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->at[i].shard == shard)
			return &s->at[i];
	}
	return NULL;
}

enum rc shares_note(struct shares *s, uint32_t shard, uint64_t seq)
{
	struct share *share = find(s, shard);

	if (share) {
		share->seq = seq;
		return RC_OK;
	}
	if (s->n == SHARES_MAX)
		return RC_ERROR;
	s->at[s->n++] = (struct share){shard, seq};
	return RC_OK;
}

static bool falls_to(struct span key, uint32_t shard)
{
	unsigned workers = shard >> 8;

	return workers && shares_worker(key, workers) == (shard & 0xff);
}

bool shares_have(const struct shares *s, uint64_t seq, struct span key)
{
	for (size_t i = 0; i < s->n; i++) {
		if (seq <= s->at[i].seq && falls_to(key, s->at[i].shard))
			return true;
	}
	return false;
}

uint64_t shares_of(const struct shares *s, uint32_t shard)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->at[i].shard == shard)
			return s->at[i].seq;
	}
	return 0;
}

uint64_t shares_highest(const struct shares *s)
{
	uint64_t highest = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->at[i].seq > highest)
			highest = s->at[i].seq;
	}
	return highest;
}

void shares_level(struct shares *s, uint64_t seq)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->at[i].seq > seq)
			s->at[n++] = s->at[i];
	}
	s->n = n;
}

struct reading {
	struct shares *shares;
	uint64_t base;
};

static enum rc on_row(void *arg, const char *const *row, unsigned columns)
{
	struct reading *r = arg;
	uint64_t seq;

	if (columns != 2 || !row[0] || !row[1])
		return RC_ERROR;
	seq = strtoull(row[1], NULL, 10);
	return seq > r->base ? shares_note(r->shares, (uint32_t)strtoul(row[0], NULL, 10), seq) : RC_OK;
}

enum rc shares_read(struct shares *s, const struct position *p, struct dbconn *c)
{
	struct reading r = {.shares = s, .base = p->seq};
	char sql[256];

	s->n = 0;
	snprintf(sql, sizeof(sql), "SELECT shard, seq FROM suimon.applied WHERE queue_id=x'%s' AND shard>0 FOR UPDATE",
		 p->id_hex);
	return dbconn_rows(c, sql, on_row, &r);
}
