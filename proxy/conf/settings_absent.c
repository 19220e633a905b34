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

/* Without rules there is no queue. */
CHOSEN(engine, s->queue.engine == SETTINGS_ENGINE_SQS && s->queue.nrules > 0)

const struct conf_absent settings_absent_engine = {"the queue engine sqs, with rules", "file, redis or kafka", engine};
