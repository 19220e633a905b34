/*
 * catalog_rights.h - what the reading account may see, from SHOW GRANTS: only where it holds SELECT and TRIGGER on a whole
 * schema does an absent row of information_schema mean that there is none.
 */
#ifndef SUIMON_CATALOG_RIGHTS_H
#define SUIMON_CATALOG_RIGHTS_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

#define RIGHT_SELECT 0x1
#define RIGHT_TRIGGER 0x2
#define RIGHTS_ALL (RIGHT_SELECT | RIGHT_TRIGGER)

struct schema_right {
	char *pattern;
	unsigned bits;
	struct schema_right *next;
}; /* owned */
struct rights {
	unsigned everywhere;
	struct schema_right *granted, *revoked; /* revoked: MySQL's partial revokes */
};

/* Takes in one line of SHOW GRANTS; lines that grant nothing on schemas are passed over. RC_ERROR: no memory. */
enum rc rights_add(struct rights *r, struct span line) must_check;
void rights_reset(struct rights *r);
/* Does the account see all of this schema? fold: names without regard to letter case. */
bool rights_see_all(const struct rights *r, struct span schema, bool fold);

#endif
