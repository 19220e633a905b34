/*
 * settings_absent.c - what this build cannot do, in one place: choosing it is a fault that says so, and the manual names it.
 *
 * When a feature is built, its entry here goes, with the `.absent` in its row.
 */
#include "settings_rows.h"

#define CHOSEN(name, condition)                                                                                        \
	static bool name(const void *root)                                                                             \
	{                                                                                                              \
		const struct settings *s = root;                                                                       \
                                                                                                                       \
		return condition;                                                                                      \
	}

CHOSEN(engine, s->queue.engine != SETTINGS_ENGINE_FILE && s->queue.nrules > 0) /* without rules there is no queue */

const struct conf_absent settings_absent_engine = {"queue engines other than file, with rules", "file", engine};
