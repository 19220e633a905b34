/*
 * cases.h - golden files of statements: what is made of each is written under it.
 *
 *   # a comment                       up to the end of the line, at its start only
 *   @mode ansi_quotes oracle          how the statements below are read, until the next
 *   SELECT a                          a statement, on one line or more
 *     FROM t
 *   <TAB>select r:t                   what is made of it, one line or more
 *   <empty line>
 */
#ifndef SUIMON_TEST_CASES_H
#define SUIMON_TEST_CASES_H

#include "iobuf.h"
#include "span.h"

typedef enum rc make_fn(struct span statement, unsigned mode, struct iobuf *out);

/* Runs make over every statement of every .txt file in the folder argv[1], and compares; with --write as argv[2] it
 * writes what was made into the files instead. Returns the process's exit code. */
int cases_main(int argc, char **argv, make_fn *make);

#endif
