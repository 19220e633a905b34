/*
 * failpoint.c - see failpoint.h.
 */
#include "failpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char chosen[64];
static int fate = SIGKILL;
static _Atomic long passages_left;

static void failpoint_read(void)
{
	const char *env = getenv("SUIMON_FAILPOINT");
	size_t len = env ? strcspn(env, ":") : 0;

	if (!len || len >= sizeof(chosen))
		return;
	memcpy(chosen, env, len);
	if (strcmp(env + len, ":stop") == 0)
		fate = SIGSTOP;
	atomic_store(&passages_left, env[len] == ':' && fate == SIGKILL ? strtol(env + len + 1, NULL, 10) : 1);
}

void failpoint_pass(const char *name)
{
	pthread_once(&once, failpoint_read);
	if (!chosen[0] || strcmp(chosen, name) != 0)
		return;
	if (atomic_fetch_sub(&passages_left, 1) == 1)
		raise(fate);
}
