/*
 * lanelock.c - see lanelock.h.
 */
#include "lanelock.h"

#include <stdio.h>

void lanelock_name(char out[LANELOCK_NAME_MAX], const char *id_hex, int member)
{
	if (member < 0)
		snprintf(out, LANELOCK_NAME_MAX, "suimon:%s", id_hex);
	else
		snprintf(out, LANELOCK_NAME_MAX, "suimon:%s:m%d", id_hex, member);
}

enum rc lanelock_take(struct dbconn *c, const char *name)
{
	char sql[LANELOCK_NAME_MAX + 40], got[8];
	enum rc rc;

	snprintf(sql, sizeof(sql), "SELECT GET_LOCK('%s', 0)", name);
	rc = dbconn_value(c, sql, got, sizeof(got));
	if (rc != RC_OK)
		return RC_ERROR;
	return got[0] == '1' ? RC_OK : RC_DECLINED;
}

enum rc lanelock_patience(struct dbconn *c)
{
	return dbconn_execf(c, "SET SESSION wait_timeout=%d", LANELOCK_IDLE_SECONDS);
}
