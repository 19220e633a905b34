/*
 * comment.h - what a comment says to suimon: hints, and sqlcommenter's tags.
 */
#ifndef SUIMON_COMMENT_H
#define SUIMON_COMMENT_H

#include "digest.h"

/* Adds what a comment (its marks included) says to out. */
void sql_comment_read(struct span comment, struct sql_lexed *out);

#endif
