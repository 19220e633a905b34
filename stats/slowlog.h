/*
 * slowlog.h - slow statements as text, in MySQL's extended slow-log format, which pt-query-digest and mysqldumpslow read.
 *
 *   stats_record (a worker) ── slowlog_add ──▶ pending bytes ── writer thread ──▶ file
 *
 * A worker never waits for the disk: it formats an entry into a bounded buffer under a lock, and a thread of its own
 * writes. What does not fit is dropped and counted. The file is opened anew when told to (so that logrotate may move
 * it), and when it has grown to SLOWLOG_MAX it becomes FILE.1 and a new one begins: two files of that size at most. What is no
 * regular file (a pipe, /dev/stdout) is only written to, and nothing waits long for its reader. An entry that was broken off is ended
 * before the next one, so that it costs no other.
 */
#ifndef SUIMON_SLOWLOG_H
#define SUIMON_SLOWLOG_H

#include "stats.h"

#define SLOWLOG_MAX (UINT64_C(256) * 1024 * 1024)
#define SLOWLOG_PENDING_MAX (4 * 1024 * 1024)
#define SLOWLOG_SQL_MAX (64 * 1024) /* bytes of a statement; a longer one is cut and says so */

struct slowlog;

/* counts: the writer thread's sink; not owned. NULL: memory, or no thread. */
struct slowlog *slowlog_new(struct stats_sink *counts) must_check;
void slowlog_free(struct slowlog *l); /* writes what is pending first; NULL is fine */

/*
 * Writes to the file at path from now on, opened anew even if it is the same; "": writes nothing. RC_ERROR: the file
 * cannot be opened, err says why, and all stays as it was. max: bytes after which the file becomes FILE.1.
 */
enum rc slowlog_open(struct slowlog *l, const char *path, uint64_t max, char *err, size_t cap) must_check;

/* Any thread. k: the caller's sink. samples: the statement as sent, else its normalised text. wall_us: its beginning. */
void slowlog_add(struct slowlog *l, struct stats_sink *k, const struct stats_event *e, bool samples, uint64_t wall_us);

#endif
