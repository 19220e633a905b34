/*
 * globals.h - what follows for suimon when a client sets a server's global variables or changes accounts.
 */
#ifndef SUIMON_GLOBALS_H
#define SUIMON_GLOBALS_H

#include "request.h"

/* The statement has been answered, or its connection was lost. failed: with an error, or nobody knows. */
void globals_settle(struct request *r, bool failed);

/* ... and what it has changed in the schema, if anything, are not procedures. After globals_settle. */
bool globals_keep_procedures(const struct request *r);

/* Its first statement may have done something before it failed: it runs others. */
bool globals_run_others(const struct request *r);

#endif
