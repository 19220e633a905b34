/*
 * version.h - what this binary is made of. Apart from the rest, because the database client's header and our protocol
 * constants share names.
 */
#ifndef SUIMON_VERSION_H
#define SUIMON_VERSION_H

#include "rc.h"

void version_print(void);
enum rc libraries_begin(void) must_check; /* before any thread uses the database client library */
void libraries_end(void);

#endif
