/*
 * marks.h - the marks of a queue's lanes (mark.h), as the thread of claims.h reads and notes them: which lanes' positions are of
 * this process's store, told to their engines whenever that changes.
 */
#ifndef SUIMON_MARKS_H
#define SUIMON_MARKS_H

#include "dbconn.h"
#include "drain.h"
#include "mark.h"

struct marks_lane {
	enum queue_owner owner; /* of its position */
	bool observed;          /* its position was read, */
	uint64_t seq;           /* and is this */
};

struct marks {
	const char *id_hex;    /* the queue's. not owned */
	struct drain **drains; /* not owned; a lane each */
	unsigned lanes;
	struct mark *mark;       /* owned; a lane each */
	struct marks_lane *lane; /* owned */
	struct mark_view view;
	bool moved;   /* a position, since it was read before */
	bool changed; /* an owner, since this was last set to false */
	bool said;    /* that the positions are another's */
};

enum rc marks_init(struct marks *m, const char *id_hex, struct drain **drains, unsigned lanes) must_check;
void marks_reset(struct marks *m);

/* The rows of suimon.applied are about to be read; one of a lane's position, one of its mark. */
void marks_begin(struct marks *m);
void marks_take_position(struct marks *m, unsigned long lane, uint64_t seq);
void marks_take_mark(struct marks *m, unsigned long lane, uint64_t mark);
/* They have been: whose is which? seen: as mark_look has it. RC_ERROR: the connection's code and error. */
enum rc marks_judge(struct marks *m, struct dbconn *c, bool seen) must_check;

void marks_forget(struct marks *m);         /* there are no rows: nobody's are known */
void marks_asked_in_vain(struct marks *m);  /* the database cannot be asked */
bool marks_ours(const struct marks *m, unsigned lane);
bool marks_any(const struct marks *m, enum queue_owner owner);

#endif
