#include "auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "secret.h"

/* The digest of a and b, one behind the other. */
static enum rc digest(const EVP_MD *md, struct span a, struct span b, uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done = ctx && EVP_DigestInit_ex(ctx, md, NULL) && EVP_DigestUpdate(ctx, a.p, a.len) &&
		    (b.len == 0 || EVP_DigestUpdate(ctx, b.p, b.len)) && EVP_DigestFinal_ex(ctx, out, NULL);

	EVP_MD_CTX_free(ctx);
	return done ? RC_OK : RC_ERROR;
}

static enum rc digest_one(const EVP_MD *md, struct span a, uint8_t *out)
{
	return digest(md, a, span_of(NULL, 0), out);
}

static void xor_into(uint8_t *out, const uint8_t *with, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] ^= with[i];
}

/* Clients read the scramble as text, and '$' has a meaning in caching_sha2_password's stored form. */
enum rc auth_scramble(uint8_t out[SCRAMBLE_LEN])
{
	if (RAND_bytes(out, SCRAMBLE_LEN) != 1)
		return RC_ERROR;
	for (size_t i = 0; i < SCRAMBLE_LEN; i++) {
		out[i] &= 0x7f;
		if (out[i] == '\0' || out[i] == '$')
			out[i]++;
	}
	return RC_OK;
}

static enum rc verifier(const EVP_MD *md, struct span password, size_t n, uint8_t *out)
{
	uint8_t once[EVP_MAX_MD_SIZE];
	enum rc rc = digest_one(md, password, once);

	if (rc == RC_OK)
		rc = digest_one(md, span_of(once, n), out);
	secret_wipe(once, sizeof(once));
	return rc;
}

enum rc auth_native_verifier(struct span password, uint8_t out[AUTH_NATIVE_LEN])
{
	return verifier(EVP_sha1(), password, AUTH_NATIVE_LEN, out);
}

enum rc auth_sha2_verifier(struct span password, uint8_t out[AUTH_SHA2_LEN])
{
	return verifier(EVP_sha256(), password, AUTH_SHA2_LEN, out);
}

/* What the client's answer is masked with. The two plugins put scramble and verifier in opposite orders. */
static enum rc native_mask(const uint8_t *scramble, const uint8_t *twice, uint8_t *out)
{
	return digest(EVP_sha1(), span_of(scramble, SCRAMBLE_LEN), span_of(twice, AUTH_NATIVE_LEN), out);
}

static enum rc sha2_mask(const uint8_t *scramble, const uint8_t *twice, uint8_t *out)
{
	return digest(EVP_sha256(), span_of(twice, AUTH_SHA2_LEN), span_of(scramble, SCRAMBLE_LEN), out);
}

enum rc auth_native_response(struct span password, const uint8_t scramble[SCRAMBLE_LEN], uint8_t out[AUTH_NATIVE_LEN])
{
	uint8_t twice[AUTH_NATIVE_LEN], mask[AUTH_NATIVE_LEN];

	if (auth_native_verifier(password, twice) != RC_OK || native_mask(scramble, twice, mask) != RC_OK ||
	    digest_one(EVP_sha1(), password, out) != RC_OK)
		return RC_ERROR;
	xor_into(out, mask, AUTH_NATIVE_LEN);
	return RC_OK;
}

enum rc auth_sha2_response(struct span password, const uint8_t scramble[SCRAMBLE_LEN], uint8_t out[AUTH_SHA2_LEN])
{
	uint8_t twice[AUTH_SHA2_LEN], mask[AUTH_SHA2_LEN];

	if (auth_sha2_verifier(password, twice) != RC_OK || sha2_mask(scramble, twice, mask) != RC_OK ||
	    digest_one(EVP_sha256(), password, out) != RC_OK)
		return RC_ERROR;
	xor_into(out, mask, AUTH_SHA2_LEN);
	return RC_OK;
}

/* The answer unmasked is the password's digest, and the digest of that must be the verifier. mask is used up. */
static bool check(const EVP_MD *md, struct span response, uint8_t *mask, const uint8_t *twice, size_t n)
{
	uint8_t again[EVP_MAX_MD_SIZE];
	bool same;

	xor_into(mask, (const uint8_t *)response.p, n);
	same = digest_one(md, span_of(mask, n), again) == RC_OK && CRYPTO_memcmp(again, twice, n) == 0;
	secret_wipe(mask, n);
	return same;
}

bool auth_native_check(struct span response, const uint8_t scramble[SCRAMBLE_LEN], const uint8_t twice[AUTH_NATIVE_LEN])
{
	uint8_t mask[AUTH_NATIVE_LEN];

	if (response.len != AUTH_NATIVE_LEN || native_mask(scramble, twice, mask) != RC_OK)
		return false;
	return check(EVP_sha1(), response, mask, twice, AUTH_NATIVE_LEN);
}

bool auth_sha2_check(struct span response, const uint8_t scramble[SCRAMBLE_LEN], const uint8_t twice[AUTH_SHA2_LEN])
{
	uint8_t mask[AUTH_SHA2_LEN];

	if (response.len != AUTH_SHA2_LEN || sha2_mask(scramble, twice, mask) != RC_OK)
		return false;
	return check(EVP_sha256(), response, mask, twice, AUTH_SHA2_LEN);
}
