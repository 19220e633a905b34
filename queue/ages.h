/*
 * ages.h - how old the oldest record of a lane is, whatever the wall clock does. Pure.
 *
 * A record bears the wall clock's time, of the host that accepted it. Beside that this process marks, by the monotonic
 * clock, how far the lane was when records of its own became durable: what lies between two marks was accepted between
 * them, by whomever. Within these bounds the record's time decides; and once a record is the oldest it ages by the
 * monotonic clock alone. Only what was found at a start, or came behind the last mark, is as old as the wall clock says.
 */
#ifndef SUIMON_AGES_H
#define SUIMON_AGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGES_MARKS 64

struct ages {
	struct ages_mark {
		uint64_t seq; /* up to here all was accepted by then, and nothing behind it */
		uint64_t ns;
	} mark[AGES_MARKS]; /* both grow */
	size_t n;
	uint64_t apart_ns; /* from one to the next but one at least: grows with what waits */
	/* The oldest. */
	bool known, passed; /* passed: it is applied, and the next one not looked at yet: about as old */
	uint64_t seq, at_ns, age_ns; /* so old at that time */
};

/* The lane's last record is, just now, seq. */
void ages_note(struct ages *a, uint64_t seq, uint64_t now_ns);
/* The oldest record is seq, which was accepted at time_us by the wall clock (0: not known), which shows wall_us. */
void ages_set(struct ages *a, uint64_t seq, uint64_t time_us, uint64_t now_ns, uint64_t wall_us);
void ages_pass(struct ages *a);  /* it is applied, and there are more */
void ages_unset(struct ages *a); /* there is none, or it is not known */
uint64_t ages_oldest(const struct ages *a, uint64_t now_ns); /* 0: there is none */

#endif
