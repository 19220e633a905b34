/*
 * The plugins' arithmetic agrees with vectors that Python's hashlib made; a wrong password, scramble or length never
 * passes (F2: and neither does garbage under RSA).
 */
#include "wire_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "auth.h"

static const uint8_t scramble[SCRAMBLE_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

struct known {
	const char *password;
	const char *native, *native_verifier, *sha2, *sha2_verifier;
};

static const struct known vectors[] = {
	{"secret", "b32bb3a583e1340c0a1108d58b1be49781ad8c2f", "14e65567abdb5135d0cfd9a70b3032c179a49ee7",
	 "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9",
	 "3881219d087dd9c634373fd33dfa33a2cb6bfc6c520b64b8bb60ef2ceb534ae7"},
	{"p\xc3\xa4ssw\xc3\xb6rd", "9891a8536587af22d12e126cf5f7a8ea86d63b0e",
	 "0225ec5004abb0b8cb557541fe53de1a5d8cc825", "8526563d365f5cb2cf44b162e5251a5cc348e1a1afeec271669611d0fdac23f7",
	 "e2cd1a228188f0703ba30ffe5e1bc013f0ae431d6213e97a9d2b42f78079ceab"},
};

static void assert_hex(const uint8_t *p, const char *hex)
{
	size_t len;
	uint8_t *want = unhex(hex, &len);

	assert_memory_equal(p, want, len);
	free(want);
}

static void responses_and_verifiers_match_the_vectors(void **state)
{
	for (size_t i = 0; i < countof(vectors); i++) {
		struct span password = span_str(vectors[i].password);
		uint8_t out[AUTH_SHA2_LEN];

		assert_int_equal(auth_native_response(password, scramble, out), RC_OK);
		assert_hex(out, vectors[i].native);
		assert_int_equal(auth_native_verifier(password, out), RC_OK);
		assert_hex(out, vectors[i].native_verifier);
		assert_int_equal(auth_sha2_response(password, scramble, out), RC_OK);
		assert_hex(out, vectors[i].sha2);
		assert_int_equal(auth_sha2_verifier(password, out), RC_OK);
		assert_hex(out, vectors[i].sha2_verifier);
	}
}

/* RFC 8032, section 7.1: where the password is 32 bytes long, MariaDB's scheme is the RFC's. */
static void ed25519_signs_as_the_rfc_does(void **state)
{
	static const char *const known[][3] = {
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
		 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
		 "655141438e7a100b"},
		{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
		 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
		 "b00d291612bb0c00"},
	};

	for (size_t i = 0; i < countof(known); i++) {
		uint8_t out[AUTH_ED25519_LEN];
		size_t password_len, message_len;
		uint8_t *password = unhex(known[i][0], &password_len), *message = unhex(known[i][1], &message_len);

		assert_int_equal(auth_ed25519_response(span_of(password, password_len), span_of(message, message_len), out),
				 RC_OK);
		assert_hex(out, known[i][2]);
		free(password);
		free(message);
	}
}

static bool verifies(const char *key_hex, const uint8_t *signature, struct span message)
{
	size_t len;
	uint8_t *raw = unhex(key_hex, &len);
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, signature, AUTH_ED25519_LEN, (const uint8_t *)message.p, message.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	free(raw);
	return ok;
}

/* MariaDB's manual gives the public key that it keeps for the password "secret". */
static void ed25519_passwords_may_have_any_length(void **state)
{
	static const char key[] = "648814444520e4f56043a2ec9215e63be7992d2d270bc6dee873e36164786096";
	uint8_t nonce[AUTH_ED25519_SCRAMBLE], out[AUTH_ED25519_LEN];

	for (unsigned i = 0; i < 50; i++) {
		memset(nonce, (int)i * 5, sizeof(nonce));
		assert_int_equal(auth_ed25519_response(span_str("secret"), span_of(nonce, sizeof(nonce)), out), RC_OK);
		assert_true(verifies(key, out, span_of(nonce, sizeof(nonce))));
		nonce[i % 32] ^= 1;
		assert_false(verifies(key, out, span_of(nonce, sizeof(nonce))));
	}
	assert_int_equal(auth_ed25519_response(span_str("Secret"), span_of(nonce, sizeof(nonce)), out), RC_OK);
	assert_false(verifies(key, out, span_of(nonce, sizeof(nonce))));
}

/* Every bit of a response counts, and so does its length. */
static void only_the_right_native_response_passes(void **state)
{
	uint8_t verifier[AUTH_NATIVE_LEN], other[SCRAMBLE_LEN], response[AUTH_NATIVE_LEN + 1] = {0};

	memcpy(other, scramble, sizeof(other));
	other[19] ^= 1;
	assert_int_equal(auth_native_verifier(span_str("secret"), verifier), RC_OK);
	assert_int_equal(auth_native_response(span_str("secret"), scramble, response), RC_OK);
	assert_true(auth_native_check(span_of(response, AUTH_NATIVE_LEN), scramble, verifier));
	assert_false(auth_native_check(span_of(response, AUTH_NATIVE_LEN), other, verifier));
	assert_false(auth_native_check(span_of(response, AUTH_NATIVE_LEN - 1), scramble, verifier));
	assert_false(auth_native_check(span_of(response, AUTH_NATIVE_LEN + 1), scramble, verifier));
	assert_false(auth_native_check(span_of(NULL, 0), scramble, verifier));
	for (size_t bit = 0; bit < 8 * AUTH_NATIVE_LEN; bit++) {
		response[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(auth_native_check(span_of(response, AUTH_NATIVE_LEN), scramble, verifier));
		response[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void only_the_right_sha2_response_passes(void **state)
{
	uint8_t verifier[AUTH_SHA2_LEN], other[SCRAMBLE_LEN], response[AUTH_SHA2_LEN + 1] = {0};

	memcpy(other, scramble, sizeof(other));
	other[0] ^= 1;
	assert_int_equal(auth_sha2_verifier(span_str("secret"), verifier), RC_OK);
	assert_int_equal(auth_sha2_response(span_str("secret"), scramble, response), RC_OK);
	assert_true(auth_sha2_check(span_of(response, AUTH_SHA2_LEN), scramble, verifier));
	assert_false(auth_sha2_check(span_of(response, AUTH_SHA2_LEN), other, verifier));
	assert_false(auth_sha2_check(span_of(response, AUTH_SHA2_LEN - 1), scramble, verifier));
	assert_false(auth_sha2_check(span_of(response, AUTH_SHA2_LEN + 1), scramble, verifier));
	assert_false(auth_sha2_check(span_of(NULL, 0), scramble, verifier));
	for (size_t bit = 0; bit < 8 * AUTH_SHA2_LEN; bit++) {
		response[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(auth_sha2_check(span_of(response, AUTH_SHA2_LEN), scramble, verifier));
		response[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* The verifier itself, sent as an answer, is no password. */
static void knowing_the_verifier_is_not_enough(void **state)
{
	uint8_t verifier[AUTH_SHA2_LEN];

	assert_int_equal(auth_sha2_verifier(span_str("secret"), verifier), RC_OK);
	assert_false(auth_sha2_check(span_of(verifier, AUTH_SHA2_LEN), scramble, verifier));
	assert_int_equal(auth_native_verifier(span_str("secret"), verifier), RC_OK);
	assert_false(auth_native_check(span_of(verifier, AUTH_NATIVE_LEN), scramble, verifier));
}

static void scrambles_are_text_and_differ(void **state)
{
	uint8_t last[SCRAMBLE_LEN] = {0};

	for (int i = 0; i < 500; i++) {
		uint8_t s[SCRAMBLE_LEN];

		assert_int_equal(auth_scramble(s), RC_OK);
		for (size_t j = 0; j < sizeof(s); j++) {
			assert_in_range(s[j], 1, 127);
			assert_int_not_equal(s[j], '$');
		}
		assert_memory_not_equal(s, last, sizeof(s));
		memcpy(last, s, sizeof(s));
	}
}

static void a_password_crosses_under_rsa(void **state)
{
	static const char *const passwords[] = {"", "secret",
						"a password that is longer than its scramble, p\xc3\xa4ssw\xc3\xb6rd"};
	struct auth_rsa *k = auth_rsa_new();

	assert_non_null(k);
	assert_memory_equal(auth_rsa_public_pem(k).p, "-----BEGIN PUBLIC KEY-----\n", 27);
	for (size_t i = 0; i < countof(passwords); i++) {
		uint8_t cipher[256], plain[512], other[SCRAMBLE_LEN] = {0};
		size_t cipher_len = sizeof(cipher), len = 0;

		assert_int_equal(
			auth_rsa_encrypt(auth_rsa_public_pem(k), span_str(passwords[i]), scramble, cipher, &cipher_len),
			RC_OK);
		assert_int_equal(cipher_len, 256);
		assert_int_equal(auth_rsa_decrypt(k, span_of(cipher, cipher_len), scramble, plain, &len), RC_OK);
		assert_span(span_of(plain, len), passwords[i]);
		assert_int_equal(auth_rsa_decrypt(k, span_of(cipher, cipher_len), other, plain, &len), RC_ERROR);
		cipher[100] ^= 1;
		assert_int_equal(auth_rsa_decrypt(k, span_of(cipher, cipher_len), scramble, plain, &len), RC_ERROR);
		assert_int_equal(auth_rsa_decrypt(k, span_of(cipher, 255), scramble, plain, &len), RC_ERROR);
		assert_int_equal(auth_rsa_decrypt(k, span_of(NULL, 0), scramble, plain, &len), RC_ERROR);
	}
	auth_rsa_free(k);
}

/* What MySQL's server does with it: RSA-OAEP with SHA-1, then XOR. Done here with OpenSSL alone. */
static void the_ciphertext_is_what_mysql_expects(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	BIO *bio = BIO_new(BIO_s_mem());
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t cipher[256], plain[256];
	size_t cipher_len = sizeof(cipher), len = sizeof(plain);
	char *pem;
	long pem_len;

	assert_true(PEM_write_bio_PUBKEY(bio, key));
	pem_len = BIO_get_mem_data(bio, &pem);
	assert_int_equal(
		auth_rsa_encrypt(span_of(pem, (size_t)pem_len), span_str("secret"), scramble, cipher, &cipher_len),
		RC_OK);
	assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha1()), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha1()), 1);
	assert_int_equal(EVP_PKEY_decrypt(ctx, plain, &len, cipher, cipher_len), 1);
	assert_int_equal(len, 7);
	for (size_t i = 0; i < len; i++)
		plain[i] ^= (uint8_t)(i + 1);
	assert_memory_equal(plain, "secret", 7);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

/* The key is the server's choice: nothing it sends writes past the caller's room. */
static void a_key_too_large_or_no_key_is_refused(void **state)
{
	struct auth_rsa *k = auth_rsa_new();
	char long_password[600];
	uint8_t cipher[256];
	size_t len = 255;

	assert_non_null(k);
	assert_int_equal(auth_rsa_encrypt(auth_rsa_public_pem(k), span_str("x"), scramble, cipher, &len), RC_ERROR);
	len = sizeof(cipher);
	assert_int_equal(
		auth_rsa_encrypt(span_str("-----BEGIN PUBLIC KEY-----\nAAAA\n"), span_str("x"), scramble, cipher, &len),
		RC_ERROR);
	len = sizeof(cipher);
	assert_int_equal(auth_rsa_encrypt(span_of(NULL, 0), span_str("x"), scramble, cipher, &len), RC_ERROR);
	memset(long_password, 'x', sizeof(long_password));
	len = sizeof(cipher);
	assert_int_equal(auth_rsa_encrypt(auth_rsa_public_pem(k), span_of(long_password, 600), scramble, cipher, &len),
			 RC_ERROR);
	len = sizeof(cipher);
	assert_int_equal(auth_rsa_encrypt(auth_rsa_public_pem(k), span_of(long_password, 214), scramble, cipher, &len),
			 RC_ERROR);
	len = sizeof(cipher);
	assert_int_equal(auth_rsa_encrypt(auth_rsa_public_pem(k), span_of(long_password, 213), scramble, cipher, &len),
			 RC_OK);
	auth_rsa_free(k);
	auth_rsa_free(NULL);
}

/* What MariaDB's check of mysql_old_password accepts; spaces and tabs in a password do not count. */
static void the_old_response_matches_the_vectors(void **state)
{
	static const struct { const char *password, *scramble, *response; } known[] = {
		{"oldpw", "abcdefgh", "P\\SA\\XPB"},
		{"ab", "\1\2\3zzzzz", "OTCHIKZK"},
		{"a b", "\1\2\3zzzzz", "OTCHIKZK"},
	};

	for (size_t i = 0; i < countof(known); i++) {
		uint8_t out[AUTH_OLD_LEN];

		auth_old_response(span_str(known[i].password), (const uint8_t *)known[i].scramble, out);
		assert_memory_equal(out, known[i].response, AUTH_OLD_LEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responses_and_verifiers_match_the_vectors),
		cmocka_unit_test(ed25519_signs_as_the_rfc_does),
		cmocka_unit_test(ed25519_passwords_may_have_any_length),
		cmocka_unit_test(the_old_response_matches_the_vectors),
		cmocka_unit_test(only_the_right_native_response_passes),
		cmocka_unit_test(only_the_right_sha2_response_passes),
		cmocka_unit_test(knowing_the_verifier_is_not_enough),
		cmocka_unit_test(scrambles_are_text_and_differ),
		cmocka_unit_test(a_password_crosses_under_rsa),
		cmocka_unit_test(the_ciphertext_is_what_mysql_expects),
		cmocka_unit_test(a_key_too_large_or_no_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
