/*
 * catalog_temporary.h - does a procedure drop again the temporary tables that it makes?
 */
#ifndef SUIMON_CATALOG_TEMPORARY_H
#define SUIMON_CATALOG_TEMPORARY_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

/* *all: whenever it comes to its end, by the statements that stand there; not said of one that fails, handles errors or gives tables
 * other names. mode: SQL_MODE_*. RC_ERROR: no memory. */
enum rc catalog_drops_temporary(struct span body, unsigned mode, bool *all) must_check;

#endif
