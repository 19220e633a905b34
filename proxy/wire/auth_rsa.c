/*
 * auth_rsa.c - caching_sha2_password's full exchange without TLS: the password and its NUL, XORed with the repeated
 * scramble, under RSA with OAEP padding (SHA-1, as MySQL has it).
 */
#include "auth.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "mem.h"
#include "secret.h"

#define RSA_BITS 2048
#define PLAIN_MAX 512 /* a 4096-bit key's, the largest servers are given */

struct auth_rsa {
	EVP_PKEY *key; /* owned; used by many threads at a time, each through a context of its own */
	char *pem;     /* owned; the public half */
	size_t pem_len;
};

static void mask(uint8_t *text, size_t len, const uint8_t scramble[SCRAMBLE_LEN])
{
	for (size_t i = 0; i < len; i++)
		text[i] ^= scramble[i % SCRAMBLE_LEN];
}

static EVP_PKEY *read_public(struct span pem)
{
	BIO *bio = pem.len > 0 && pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return key;
}

static EVP_PKEY_CTX *oaep(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

	if (ctx && (init(ctx) <= 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) <= 0)) {
		EVP_PKEY_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

enum rc auth_rsa_encrypt(struct span pem, struct span password, const uint8_t scramble[SCRAMBLE_LEN], uint8_t *out,
			 size_t *out_len)
{
	EVP_PKEY *key;
	EVP_PKEY_CTX *ctx;
	uint8_t plain[PLAIN_MAX];
	bool done;

	if (password.len >= sizeof(plain))
		return RC_ERROR;
	if (password.len)
		memcpy(plain, password.p, password.len);
	plain[password.len] = '\0';
	mask(plain, password.len + 1, scramble);
	key = read_public(pem);
	/* OpenSSL does not hold the result to *out_len itself, and the key's size is the server's choice. */
	ctx = key && (size_t)EVP_PKEY_get_size(key) <= *out_len ? oaep(key, EVP_PKEY_encrypt_init) : NULL;
	done = ctx && EVP_PKEY_encrypt(ctx, out, out_len, plain, password.len + 1) > 0;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	secret_wipe(plain, sizeof(plain));
	ERR_clear_error();
	return done ? RC_OK : RC_ERROR;
}

static char *write_public(EVP_PKEY *key, size_t *len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL, *pem = NULL;
	long n;

	if (bio && PEM_write_bio_PUBKEY(bio, key)) {
		n = BIO_get_mem_data(bio, &text);
		*len = n > 0 ? (size_t)n : 0;
		pem = *len ? mem_dup(text, *len) : NULL;
	}
	BIO_free(bio);
	return pem;
}

struct auth_rsa *auth_rsa_new(void)
{
	struct auth_rsa *k = mem_zalloc(sizeof(*k));

	if (!k)
		return NULL;
	k->key = EVP_RSA_gen(RSA_BITS);
	k->pem = k->key ? write_public(k->key, &k->pem_len) : NULL;
	if (!k->pem) {
		ERR_clear_error();
		auth_rsa_free(k);
		return NULL;
	}
	return k;
}

void auth_rsa_free(struct auth_rsa *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->key);
	mem_free(k->pem);
	mem_free(k);
}

struct span auth_rsa_public_pem(const struct auth_rsa *k)
{
	return span_of(k->pem, k->pem_len);
}

/* The two ways to fail (padding, missing NUL) give one answer. */
enum rc auth_rsa_decrypt(struct auth_rsa *k, struct span cipher, const uint8_t scramble[SCRAMBLE_LEN], uint8_t *out,
			 size_t *len)
{
	EVP_PKEY_CTX *ctx = oaep(k->key, EVP_PKEY_decrypt_init);
	size_t n = PLAIN_MAX;
	bool done;

	done = ctx && cipher.len == RSA_BITS / 8 &&
	       EVP_PKEY_decrypt(ctx, out, &n, (const uint8_t *)cipher.p, cipher.len) > 0 && n > 0;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (!done)
		return RC_ERROR;
	mask(out, n, scramble);
	if (out[n - 1] != '\0') {
		secret_wipe(out, n);
		return RC_ERROR;
	}
	*len = n - 1;
	return RC_OK;
}
