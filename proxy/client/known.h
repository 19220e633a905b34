/*
 * known.h - what the texts of a worker's latest hits are when they are lexed and made canonical: a text that comes again, byte
 * for byte under the same mode, costs a hash and a comparison.
 *
 * Both are functions of text and mode alone, so nothing here can be out of date. A text with a comment at its end, such as trace
 * tags, which are others each time, is known by what stands before it; that comment alone is read for tags and hints. A
 * text with hints or tags elsewhere, or with a password, is not kept. Bounded: KNOWN_SLOTS texts of KNOWN_TEXT_MOST bytes; what
 * is found again is not given up for what may never be.
 *
 * Why the part before the comment is enough: nothing is open at its end (no quote, no comment of any kind), so a comment begins
 * there whatever it says; it has been seen that one there changes neither digest, literals, body nor canonical form; and
 * comments that a server reads (executable ones, optimizer hints) are not taken for such.
 */
#ifndef SUIMON_CLIENT_KNOWN_H
#define SUIMON_CLIENT_KNOWN_H

#include "digest.h"

#define KNOWN_SLOTS 512
#define KNOWN_TEXT_MOST 1024 /* bytes, and as many of its canonical form */

struct known_text;

struct known {
	struct known_text *slot[KNOWN_SLOTS]; /* owned; NULL: empty */
	unsigned count;
};

void known_reset(struct known *k);
/* NULL: it is not known. Valid until the next known_keep. *hash: 0, then it is computed, for whoever asks again about this text. */
const struct known_text *known_find(struct known *k, struct span text, unsigned mode, uint64_t *hash) must_check;
/* As sql_lex() would fill it for this text, which is the known one's; spans are into text. */
void known_lexed(const struct known_text *t, struct span text, struct sql_lexed *out);
struct span known_canonical(const struct known_text *t);
/* Everything is copied. hash: known_find's; 0: it is not kept. Without memory it is not kept. */
void known_keep(struct known *k, struct span text, unsigned mode, uint64_t hash, const struct sql_lexed *lexed,
		struct span canonical);

#endif
