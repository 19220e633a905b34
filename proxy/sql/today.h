/*
 * today.h - does an answer hang on the day it is asked for, though nothing in the text asks for the day? A TIME that meets a
 * DATE, DATETIME or TIMESTAMP, or becomes one, is taken for a time of today (SQL:2003's rule for casts; both servers').
 *
 * Values meet in comparisons, in COALESCE, IF, CASE and their kin, in the columns of a UNION, in a function's arguments. The text
 * is cut where values cannot meet: items of a SELECT, conditions joined by AND. What is left in one piece is taken to meet. With
 * a query inside another, a UNION, NATURAL JOIN or the like, where names are given anew, the whole text is one piece. So the
 * answer is yes more often than it need be, and never no where it is yes. Time linear in the text.
 *
 * Servers differ in what an executable comment hides: a text with one that not all of them run hangs on the day.
 */
#ifndef SUIMON_TODAY_H
#define SUIMON_TODAY_H

#include <stdbool.h>

#include "span.h"

/* Kinds of values. */
#define SQL_KIND_TIME 0x1
#define SQL_KIND_DATE 0x2 /* DATE, DATETIME, TIMESTAMP; and YEAR, which MySQL fills from a TIME with that of today */

/* The kinds of the columns of this name in all tables of the text, or, call, of what the routine of this name takes and gives.
 * name: as written, quotes included, without what qualifies it; empty: all columns. */
typedef unsigned (*sql_kinds_fn)(void *arg, struct span name, bool call);

struct sql_today {
	bool always;    /* it hangs on the day: the same for all texts of one digest */
	/* This text does: another of its digest may have a literal for the placeholder. */
	bool with_time; /* it does where a placeholder is bound to a TIME */
	bool with_date; /* ... to a DATE, DATETIME or TIMESTAMP */
	bool with_both; /* ... one to the one, another to the other */
};

/* whole: all of the text is one piece, and besides are kinds that are in it besides. mode: SQL_MODE_*. */
void sql_today(struct span text, unsigned mode, bool whole, unsigned besides, sql_kinds_fn kinds_of, void *arg, struct sql_today *out);

#endif
