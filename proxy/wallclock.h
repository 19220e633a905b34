/*
 * wallclock.h - notices when the wall clock is set, counts it and says so. The control thread's.
 */
#ifndef SUIMON_WALLCLOCK_H
#define SUIMON_WALLCLOCK_H

#include "loop.h"
#include "rc.h"
#include "stats.h"

enum rc wallclock_begin(struct loop *control, struct stats_sink *sink) must_check;
void wallclock_end(void); /* before the loop goes */

#endif
