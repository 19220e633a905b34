/*
 * auth_fuzz.c - what either side sends to prove itself: scrambled passwords, ciphertexts, public keys (F2). The first byte
 * says what the rest is. A response is right only if it is the one that the verifier's password gives.
 */
#include <stdlib.h>

#include "auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t scramble[SCRAMBLE_LEN] = "01234567890123456789";

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void try_responses(struct span s)
{
	uint8_t native[AUTH_NATIVE_LEN], sha2[AUTH_SHA2_LEN], verifier[AUTH_NATIVE_LEN], verifier2[AUTH_SHA2_LEN];
	struct span password = span_str("secret");

	must(auth_native_verifier(password, verifier) == RC_OK && auth_sha2_verifier(password, verifier2) == RC_OK);
	must(auth_native_response(password, scramble, native) == RC_OK);
	must(auth_sha2_response(password, scramble, sha2) == RC_OK);
	must(auth_native_check(s, scramble, verifier) == span_eq(s, span_of(native, sizeof native)));
	must(auth_sha2_check(s, scramble, verifier2) == span_eq(s, span_of(sha2, sizeof sha2)));
	/* and what is taken for a password comes out as one that checks */
	must(auth_native_verifier(s, verifier) == RC_OK && auth_native_response(s, scramble, native) == RC_OK);
	must(auth_native_check(span_of(native, sizeof native), scramble, verifier));
}

static void try_cipher(struct span s)
{
	static struct auth_rsa *key;
	uint8_t out[512];
	size_t len = sizeof out;

	if (!key)
		key = auth_rsa_new();
	must(key != NULL);
	if (auth_rsa_decrypt(key, s, scramble, out, &len) == RC_OK)
		must(len < sizeof out);
	/* its own way back */
	if (s.len < 128 && !memchr(s.len ? s.p : "", '\0', s.len)) {
		uint8_t cipher[512], plain[512];
		size_t n = sizeof cipher, back = sizeof plain;

		must(auth_rsa_encrypt(auth_rsa_public_pem(key), s, scramble, cipher, &n) == RC_OK);
		must(auth_rsa_decrypt(key, span_of(cipher, n), scramble, plain, &back) == RC_OK);
		must(span_eq(span_of(plain, back), s));
	}
}

static void try_key(struct span pem)
{
	uint8_t out[512];
	size_t n = sizeof out;

	if (auth_rsa_encrypt(pem, span_str("secret"), scramble, out, &n) == RC_OK)
		must(n <= sizeof out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s;

	if (!size)
		return 0;
	s = span_of(data + 1, size - 1);
	if (data[0] % 3 == 0)
		try_responses(s);
	else if (data[0] % 3 == 1)
		try_cipher(s);
	else
		try_key(s);
	return 0;
}
