/*
 * kept.h - the files that outlive the process, beside the queue: shared rules, statistics, and whether it has ended in order (rest.h).
 */
#ifndef SUIMON_KEPT_H
#define SUIMON_KEPT_H

#include <stdbool.h>

#include "rc.h"
#include "settings.h"

/* Where the last good rules of config.source are kept; for the caller to mem_free. NULL: nowhere; where *wanted, no memory. */
char *kept_shared(const struct settings *s, bool *wanted) must_check;
/* Statistics and the file that says that this process serves; before it writes, and when the queue is open. RC_ERROR: no memory, or no thread. */
enum rc kept_begin(const struct settings *s) must_check;

#endif
