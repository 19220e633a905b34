/*
 * globals.h - what follows for suimon when a client sets a server's global variables or changes accounts.
 */
#ifndef SUIMON_GLOBALS_H
#define SUIMON_GLOBALS_H

#include "request.h"

/* The statement has been answered, or its connection was lost. failed: with an error, or nobody knows. */
void globals_settle(struct request *r, bool failed);

#endif
