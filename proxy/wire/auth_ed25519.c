/*
 * auth_ed25519.c - MariaDB's client_ed25519: a signature as RFC 8032 has it, but for the secret, which is a password of any
 * length where the RFC has 32 random bytes. Libraries that take a key want those 32 bytes; so the few steps are written
 * out here, over libsodium's arithmetic on the curve.
 */
#include "auth.h"

#include <string.h>

#include <sodium.h>

#include "secret.h"

#define SCALAR crypto_core_ed25519_SCALARBYTES
#define POINT crypto_core_ed25519_BYTES

/* SHA-512 of up to three parts. */
static void digest(uint8_t out[crypto_hash_sha512_BYTES], struct span a, struct span b, struct span c)
{
	crypto_hash_sha512_state st;

	crypto_hash_sha512_init(&st);
	crypto_hash_sha512_update(&st, (const uint8_t *)a.p, a.len);
	crypto_hash_sha512_update(&st, (const uint8_t *)b.p, b.len);
	crypto_hash_sha512_update(&st, (const uint8_t *)c.p, c.len);
	crypto_hash_sha512_final(&st, out);
	secret_wipe(&st, sizeof(st));
}

/* h = SHA-512(password): its first half, clamped, is the scalar, its second half what the nonce is drawn from. */
enum rc auth_ed25519_response(struct span password, struct span scramble, uint8_t out[AUTH_ED25519_LEN])
{
	static const struct span none = {"", 0};
	uint8_t h[64], wide[64], nonce[SCALAR], k[SCALAR], point[POINT];
	bool done;

	digest(h, password, none, none);
	h[0] &= 248;
	h[31] = (uint8_t)((h[31] & 127) | 64);
	digest(wide, span_of(h + 32, 32), scramble, none);
	crypto_core_ed25519_scalar_reduce(nonce, wide);
	done = crypto_scalarmult_ed25519_base_noclamp(out, nonce) == 0 &&
	       crypto_scalarmult_ed25519_base_noclamp(point, h) == 0;
	digest(wide, span_of(out, POINT), span_of(point, POINT), scramble);
	crypto_core_ed25519_scalar_reduce(k, wide);
	crypto_core_ed25519_scalar_mul(k, k, h);
	crypto_core_ed25519_scalar_add(out + POINT, k, nonce);
	secret_wipe(h, sizeof(h));
	secret_wipe(nonce, sizeof(nonce));
	secret_wipe(k, sizeof(k));
	return done ? RC_OK : RC_ERROR;
}
