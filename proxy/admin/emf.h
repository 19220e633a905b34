/*
 * emf.h - what happened since the line before, for CloudWatch: one JSON line on stdout every stats.emf.every, by the Embedded
 * Metric Format (Amazon CloudWatch User Guide, "Specification: Embedded metric format").
 *
 * On the control loop. It never waits: a line is at most as long as a pipe takes whole, and where nobody reads stdout it is
 * dropped and counted; what it would have told of counters stands in the next one.
 */
#ifndef SUIMON_EMF_H
#define SUIMON_EMF_H

#include "instance.h"
#include "iobuf.h"
#include "lineout.h"

#define EMF_LINE_MAX LINEOUT_MAX

struct emf;

struct emf *emf_new(struct instance *in) must_check; /* NULL: no memory. in is kept */
void emf_free(struct emf *e); /* writes what was not told yet; NULL is fine */
/* s: kept by the caller. RC_ERROR: no memory; nothing is written until the next time. */
enum rc emf_configure(struct emf *e, const struct settings *s) must_check;

/* One value of a line. unit: of CloudWatch's. */
struct emf_metric {
	const char *name, *unit;
	double value;
};
/* The line, with its end. instance: the dimension's value; empty: there is none. RC_ERROR: it is longer than out takes. */
enum rc emf_put_line(const char *name_space, const char *instance, const char *host, uint64_t wall_us, const struct emf_metric *m,
		     size_t n, struct iobuf *out) must_check;

#endif
