/*
 * queue_impl.h - what a queue is made of, for queue.c and queue_view.c.
 */
#ifndef SUIMON_QUEUE_IMPL_H
#define SUIMON_QUEUE_IMPL_H

#include "dead.h"
#include "drain.h"
#include "filelog.h"
#include "qdir.h"
#include "queue.h"

struct queue {
	struct qdir dir;
	struct queue_engine *engine; /* owned, as are the next two */
	struct dead *dead;
	struct drain *drain;
	bool stopped;
	_Atomic bool handed_over;
};

#endif
