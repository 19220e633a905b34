/*
 * userlock.h - statements that take and give back the locks of GET_LOCK.
 */
#ifndef SUIMON_USERLOCK_H
#define SUIMON_USERLOCK_H

#include "span.h"

enum sql_user_lock {
	SQL_LOCK_NONE,      /* it takes none; it may give some back */
	SQL_LOCK_TAKEN,     /* SELECT or DO GET_LOCK('name', n), and nothing else: that one, or none */
	SQL_LOCK_GIVEN,     /* RELEASE_LOCK('name') likewise */
	SQL_LOCK_ALL_GIVEN, /* RELEASE_ALL_LOCKS() likewise */
	SQL_LOCK_UNTOLD,    /* it may take any */
};

/* What a text without routines of anybody's does. name: of TAKEN and GIVEN, without its quotes, into the text. */
enum sql_user_lock sql_user_lock(struct span text, unsigned mode, struct span *name);

#endif
