/*
 * words.h - the words SQL gives a meaning, looked up in constant time.
 */
#ifndef SUIMON_WORDS_H
#define SUIMON_WORDS_H

#include <stdint.h>

#include "span.h"

enum sql_word {
	SQL_WORD_NONE = 0, /* a name like any other */
#define W(name, traits, effects) SQL_W_##name,
#include "words.def"
#undef W
	SQL_WORDS
};

/* Traits: words.def says what each means. */
#define SQL_WT_RESERVED 0x001
#define SQL_WT_NO_ALIAS 0x002
#define SQL_WT_FUNCTION 0x004
#define SQL_WT_AGGREGATE 0x008
#define SQL_WT_BARE 0x010
#define SQL_WT_TIGHT 0x020
#define SQL_WT_ONE_SERVER 0x040
#define SQL_WT_CHARSET 0x080
#define SQL_WT_STARTS 0x100
#define SQL_WT_BEFORE_NAME 0x200
#define SQL_WT_LISTENS 0x400

struct sql_word_info {
	const char *name; /* upper case */
	uint16_t traits;
	uint64_t effects; /* SQL_F_* of calling it as a function */
};
extern const struct sql_word_info sql_words[SQL_WORDS];

/* SQL_WORD_NONE when the word has no meaning of its own. Letter case does not matter. Bytes up to end may be read. */
enum sql_word sql_word_find(const char *p, size_t len, const char *end);

static inline bool sql_word_is(enum sql_word w, unsigned traits)
{
	return (sql_words[w].traits & traits) != 0;
}

#endif
