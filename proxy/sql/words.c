/*
 * words.c - the table of words and the hash over it.
 */
#include "words.h"

#include "facts.h"

#define R SQL_WT_RESERVED
#define A SQL_WT_NO_ALIAS
#define F SQL_WT_FUNCTION
#define G SQL_WT_AGGREGATE
#define B SQL_WT_BARE
#define T SQL_WT_TIGHT
#define O SQL_WT_ONE_SERVER
#define C SQL_WT_CHARSET
#define S SQL_WT_STARTS
#define N SQL_WT_BEFORE_NAME
#define FX_TIME SQL_F_NONDETERMINISTIC /* the statement's own time: replayed with it, the answer is the same */
#define FX_RANDOM (SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE)
#define FX_SESSION (SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE)
#define FX_SERVER (SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE | SQL_F_SERVER_STATE)

const struct sql_word_info sql_words[SQL_WORDS] = {
	{"", 0, 0},
#define W(name, traits, effects) {#name, (traits), (effects)},
#include "words.def"
#undef W
};

#define SLOTS 4096u /* a power of two, about four times the number of words: short probes */
#define MAX_WORD 40

_Static_assert(SQL_WORDS * 2 < SLOTS, "the table of words has become too full");

static uint16_t slots[SLOTS];
static uint8_t lengths[SQL_WORDS];

/* The upper-case form of a letter; other bytes that names may hold keep themselves apart from letters. */
static inline unsigned fold(char c)
{
	return (unsigned char)c >= 'a' && (unsigned char)c <= 'z' ? (unsigned char)c - 32u : (unsigned char)c;
}

static inline uint32_t hash_of(const char *p, size_t len)
{
	uint32_t h = (uint32_t)len;

	for (size_t i = 0; i < len; i++)
		h = h * 31 + fold(p[i]);
	h *= 0x9e3779b1u;
	return h >> 20;
}

/* Runs before main, so that looking up needs neither lock nor test. */
__attribute__((constructor)) static void fill_slots(void)
{
	for (unsigned w = 1; w < SQL_WORDS; w++) {
		size_t len = strlen(sql_words[w].name);
		uint32_t at = hash_of(sql_words[w].name, len);

		while (slots[at])
			at = (at + 1) & (SLOTS - 1);
		slots[at] = (uint16_t)w;
		lengths[w] = (uint8_t)len;
	}
}

static inline bool same(const char *p, const char *upper, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (fold(p[i]) != (unsigned char)upper[i])
			return false;
	return true;
}

enum sql_word sql_word_find(const char *p, size_t len)
{
	if (len == 0 || len > MAX_WORD)
		return SQL_WORD_NONE;
	for (uint32_t at = hash_of(p, len); slots[at]; at = (at + 1) & (SLOTS - 1)) {
		uint16_t w = slots[at];

		if (lengths[w] == len && same(p, sql_words[w].name, len))
			return w;
	}
	return SQL_WORD_NONE;
}
