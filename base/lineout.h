/*
 * lineout.h - a whole line to stdout or stderr, or none: whoever reads them may stand still, and nobody here waits for that.
 */
#ifndef SUIMON_LINEOUT_H
#define SUIMON_LINEOUT_H

#include "rc.h"
#include "span.h"

/* What a pipe takes at once (PIPE_BUF), without waiting where it says it has room and unmixed with other writers' lines. */
#define LINEOUT_MAX 4096

/*
 * Writes line, at most LINEOUT_MAX bytes, its newline included. The descriptor stays as it is: other processes share it, and would
 * find it non-blocking. wait_ms: how long its reader may take to make room, 0 for all that goes on afterwards.
 * RC_DECLINED: there is no room; RC_ERROR: errno, or a terminal took a part of it. Any thread.
 */
enum rc lineout_write(int fd, struct span line, int wait_ms) must_check;

#endif
