/*
 * tableinfo.h - does it show in a table at what time its rows were inserted? Asked of the server, remembered shortly.
 */
#ifndef SUIMON_TABLEINFO_H
#define SUIMON_TABLEINFO_H

#include "dbconn.h"
#include "merge.h"

#define TABLEINFO_SLOTS 64
#define TABLEINFO_NAME 136  /* "schema\0table\0" */
#define TABLEINFO_SECONDS 2 /* how long a changed table may go unnoticed */

struct tableinfo {
	struct tableinfo_slot {
		char name[TABLEINFO_NAME];
		size_t len; /* 0: free */
		enum time_need need;
		uint64_t until_ns;
	} slot[TABLEINFO_SLOTS];
};

void tableinfo_init(struct tableinfo *t);
/* tables: as in a queue_record. Anything but one readable table gives TIME_MICRO. RC_ERROR: the connection is lost. */
enum rc tableinfo_need(struct tableinfo *t, struct dbconn *c, struct span tables, enum time_need *need) must_check;

#endif
