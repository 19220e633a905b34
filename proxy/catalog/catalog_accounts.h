/*
 * catalog_accounts.h - may a text change what a login finds (accounts, what they may do, databases), by itself or by what it runs:
 * texts in it, blocks, procedures?
 */
#ifndef SUIMON_CATALOG_ACCOUNTS_H
#define SUIMON_CATALOG_ACCOUNTS_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

struct catalog_accounts {
	unsigned mode;     /* SQL_MODE_* */
	bool names_known;  /* what EXECUTE of a name runs is known not to change it */
	void *arg;
	/* A procedure that it calls; schema: empty where it names none. RC_DECLINED: that may change it. */
	enum rc (*call)(void *arg, struct span schema, struct span name);
};

/* RC_OK: it does not, as far as the procedures do not. RC_DECLINED: it does, or it is not understood. RC_ERROR: memory.
 * A PREPARE is what an EXECUTE of it would be. */
enum rc catalog_accounts_text(const struct catalog_accounts *a, struct span text) must_check;
enum rc catalog_accounts_body(const struct catalog_accounts *a, struct span body) must_check; /* of a procedure */
/* May it make procedures others than they were? By its words: a text that says so in another way is not understood. */
bool catalog_accounts_routines(struct span text);
/* In any place, a comment or a string as well; word: lower case. */
bool catalog_has_word(struct span text, const char *word);

#endif
