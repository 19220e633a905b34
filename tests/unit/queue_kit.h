/*
 * queue_kit.h - what the queue's unit tests share: a directory of their own, records, tickets that can be waited for,
 * and files that fail on demand.
 */
#ifndef SUIMON_QUEUE_KIT_H
#define SUIMON_QUEUE_KIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fileops.h"
#include "queue.h"
#include "record.h"

/* A fresh directory; the string is static. */
const char *kit_dir(void);
void kit_remove(const char *dir);
/* A path in it; static, overwritten by the next call. */
const char *kit_path(const char *dir, const char *name);
/* The only or first segment. */
const char *kit_segment(const char *dir);
long kit_size(const char *path);
void kit_flip(const char *path, long at); /* one bit of the byte there */
void kit_cut(const char *path, long size);
void kit_copy(const char *from_dir, const char *to_dir);
unsigned kit_segments(const char *dir);

struct record kit_record(const char *sql);

struct kit_ticket {
	struct queue_ticket t;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool answered;
};
/* Appends; RC_AGAIN as queue_append says. */
enum rc kit_append(struct queue *q, struct kit_ticket *k, const char *sql, const char **why);
enum rc kit_wait(struct kit_ticket *k);                           /* its rc */
enum rc kit_put(struct queue *q, const char *sql, uint64_t *seq); /* both; the refusal when it was declined */

/* Queue options with small segments, no database. */
struct queue_options kit_options(const char *dir);
struct queue *kit_open(const struct queue_options *opt); /* opened and started; fails the test otherwise */
void kit_close(struct queue *q);

/* The pending records' texts, one after the other with a comma behind each; static. */
const char *kit_pending(struct queue *q);

/* System calls, of which the n-th from now (1: the next) fails, or is short. 0: none. Reset by kit_faults_reset. */
struct kit_fault {
	int errnum;   /* 0: a short write */
	unsigned nth; /* counts down */
	bool sticky;  /* and all after it */
};
extern struct kit_fault kit_fail_pwrite, kit_fail_fdatasync, kit_fail_fsync, kit_fail_allocate, kit_fail_open,
	kit_fail_truncate;
extern const struct file_ops kit_files;
extern unsigned kit_fdatasyncs;
extern pthread_mutex_t kit_disk; /* who holds it makes the disk stand still: an fdatasync waits for it */
extern unsigned kit_zeros; /* bytes of writes that are zeros and nothing else */
void kit_faults_reset(void);

/* Files that forget, when the power is cut, what was not synced: sectors of it stay by chance, as on a disk. */
extern const struct file_ops kit_power_files;
void kit_power_reset(void);
void kit_power_cut(unsigned seed);

#endif
