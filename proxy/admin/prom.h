/*
 * prom.h - writes Prometheus' text format 0.0.4: a family's head once, its samples with their labels escaped.
 */
#ifndef SUIMON_PROM_H
#define SUIMON_PROM_H

#include <stdint.h>

#include "iobuf.h"
#include "rc.h"

struct prom {
	struct iobuf *out;
	enum rc rc;       /* the first failure; nothing is written after it */
	const char *name; /* the family's, without "suimon_"; a literal */
};

struct prom_label {
	const char *name, *value;
};
/* Ends at the first row without a name. */
#define PROM_LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

/* type: "gauge" or "counter". */
void prom_family(struct prom *p, const char *name, const char *type, const char *help);
/* labels may be NULL. */
void prom_uint(struct prom *p, const struct prom_label *labels, uint64_t v);
void prom_seconds(struct prom *p, const struct prom_label *labels, uint64_t ns);
/* A family of one sample without labels. */
void prom_gauge(struct prom *p, const char *name, const char *help, uint64_t v);
/* A family whose samples are 1 for the state that is and 0 for the others. */
void prom_state(struct prom *p, const struct prom_label *labels, const char *state, const char *is);

/* The same as OpenMetrics 1.0: a counter's family is named without _total, quotes in helps are escaped, the end is marked. */
enum rc prom_openmetrics(const struct iobuf *text, struct iobuf *out) must_check;

#endif
