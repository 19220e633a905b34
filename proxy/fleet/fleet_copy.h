/*
 * fleet_copy.h - the last good document on disk, for a start without Redis.
 *
 * A line "suimon-shared 1 VERSION SUM KEY", then the document. Whatever is not whole, or of another key, is not taken.
 */
#ifndef SUIMON_FLEET_COPY_H
#define SUIMON_FLEET_COPY_H

#include "fleet_store.h"

struct fleet_doc {
	uint64_t version; /* 0: there is none */
	char sum[FLEET_STORE_SUM];
	char *text; /* owned */
	size_t len;
};

/* Takes its own copy of text. RC_ERROR: no memory, and d is what it was. */
enum rc fleet_doc_set(struct fleet_doc *d, uint64_t version, struct span sum, struct span text) must_check;
void fleet_doc_reset(struct fleet_doc *d);

/* RC_DECLINED: no such file. RC_ERROR: why (a literal or strerror's). out is the caller's to reset when RC_OK. */
enum rc fleet_copy_read(const char *path, const char *key, struct fleet_doc *out, const char **why) must_check;
/* The same from a descriptor, from where it stands to its end; it stays the caller's. */
enum rc fleet_copy_take(int fd, const char *key, struct fleet_doc *out, const char **why) must_check;
int fleet_copy_lend(const char *key, const struct fleet_doc *d) must_check; /* what fleet_copy_take reads, in memory; the caller's. -1: errno */
enum rc fleet_copy_write(const char *path, const char *key, const struct fleet_doc *d) must_check; /* RC_ERROR: errno */
/* Removes what a crash between writing and renaming has left: files PATH.HEX.new not touched for an hour. A fresh one may be another writer's. */
void fleet_copy_tidy(const char *path);

#endif
