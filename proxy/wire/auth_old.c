/*
 * auth_old.c - the answer of mysql_old_password, of servers older than 4.1 and of accounts that have kept it since.
 *
 * MariaDB's knowledge base describes it under "Authentication Plugin - mysql_old_password". It protects nothing; what is
 * here only lets those accounts come through.
 */
#include "auth.h"

#define OLD_MODULUS UINT32_C(0x3fffffff)

struct old_hash { uint32_t a, b; };

static struct old_hash old_hash(const char *p, size_t len)
{
	uint32_t a = 1345345333, b = 0x12345671, add = 7;

	for (size_t i = 0; i < len; i++) {
		uint32_t c = (uint8_t)p[i];

		if (c == ' ' || c == '\t')
			continue;
		a ^= ((a & 63) + add) * c + (a << 8);
		b += (b << 8) ^ a;
		add += c;
	}
	return (struct old_hash){a & 0x7fffffff, b & 0x7fffffff};
}

/* The next of a sequence of numbers below 31. */
static uint8_t old_next(struct old_hash *seed)
{
	seed->a = (uint32_t)(((uint64_t)seed->a * 3 + seed->b) % OLD_MODULUS);
	seed->b = (uint32_t)(((uint64_t)seed->a + seed->b + 33) % OLD_MODULUS);
	return (uint8_t)((double)seed->a / OLD_MODULUS * 31);
}

void auth_old_response(struct span password, const uint8_t scramble[AUTH_OLD_LEN], uint8_t out[AUTH_OLD_LEN])
{
	struct old_hash p = old_hash(password.p, password.len), m = old_hash((const char *)scramble, AUTH_OLD_LEN);
	struct old_hash seed = {(p.a ^ m.a) % OLD_MODULUS, (p.b ^ m.b) % OLD_MODULUS};
	uint8_t extra;

	for (size_t i = 0; i < AUTH_OLD_LEN; i++)
		out[i] = (uint8_t)(old_next(&seed) + 64);
	extra = old_next(&seed);
	for (size_t i = 0; i < AUTH_OLD_LEN; i++)
		out[i] ^= extra;
}
