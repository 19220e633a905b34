#include "kept.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "mem.h"
#include "process.h"
#include "rest.h"

#define SNAPSHOT_EVERY_NS (60 * NS_PER_SEC)

/* A file that outlives the process: as it is set, or of that name in the state's directory or in the queue's, if that is there.
 * NULL where it is wanted: no memory. For the caller to mem_free. */
static char *state_path(const char *set, const char *name, const struct settings *s, bool in_queue, bool *wanted)
{
	const char *state = getenv("STATE_DIRECTORY");

	*wanted = strcmp(set, "off") != 0 && (*set || (state && *state) || in_queue);
	if (!*wanted)
		return NULL;
	if (*set)
		return mem_strdup(set);
	if (state && *state) /* of several the first */
		return mem_printf("%.*s/%s", (int)strcspn(state, ":"), state, name);
	return mem_printf("%s/%s", s->queue.dir, name);
}

char *kept_shared(const struct settings *s, bool *wanted)
{
	struct stat st;

	return state_path(s->config.copy, "shared-config", s, stat(s->queue.dir, &st) == 0 && S_ISDIR(st.st_mode), wanted);
}

static bool has_directory(const struct settings *s)
{
	return process.in.queue && s->queue.engine == SETTINGS_ENGINE_FILE;
}

static enum rc keep_statistics(const struct settings *s)
{
	bool wanted;
	char *path = state_path(s->stats.snapshot, "statistics", s, has_directory(s), &wanted);
	enum rc rc;

	if (!wanted)
		return RC_OK;
	rc = path ? stats_keep(process.in.stats, path, SNAPSHOT_EVERY_NS) : RC_ERROR;
	mem_free(path);
	return rc;
}

static enum rc note_start(const struct settings *s)
{
	bool wanted;
	char *path = state_path("", "running", s, has_directory(s), &wanted);

	if (wanted && !path)
		return RC_ERROR;
	rest_begin(path);
	return RC_OK;
}

enum rc kept_begin(const struct settings *s)
{
	enum rc rc = keep_statistics(s);

	return rc == RC_OK ? note_start(s) : rc;
}
