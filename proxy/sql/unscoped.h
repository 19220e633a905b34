/*
 * unscoped.h - the system variables that SET @@name = .. sets, without SESSION, LOCAL or GLOBAL: MariaDB reports no change of theirs.
 */
#ifndef SUIMON_UNSCOPED_H
#define SUIMON_UNSCOPED_H

#include <stddef.h>

#include "rc.h"
#include "span.h"

/* Their names, as written, quotes included; they point into the text, which may be of several statements. A name stands where one is set
 * or looks as if it were. Returns how many, at most cap. */
size_t sql_set_unscoped(struct span text, unsigned mode, struct span *out, size_t cap) must_check;

#endif
