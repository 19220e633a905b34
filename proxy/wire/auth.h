/*
 * auth.h - the arithmetic of the authentication plugins, both sides. OpenSSL does the hashing.
 *
 * mysql_native_password:   SHA1(pw) XOR SHA1(scramble + SHA1(SHA1(pw)))
 * caching_sha2_password:   SHA256(pw) XOR SHA256(SHA256(SHA256(pw)) + scramble); else full exchange: over TLS or a unix
 *                          socket the password and a NUL, elsewhere that XORed with the repeated scramble under RSA-OAEP.
 * client_ed25519 (MariaDB): the scramble signed by the Ed25519 key that is made of the password.
 */
#ifndef SUIMON_AUTH_H
#define SUIMON_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "iobuf.h"
#include "proto.h"
#include "rc.h"
#include "span.h"

#define AUTH_NATIVE "mysql_native_password"
#define AUTH_SHA2 "caching_sha2_password"
#define AUTH_SHA256 "sha256_password"
#define AUTH_OLD "mysql_old_password"
#define AUTH_CLEAR "mysql_clear_password"
#define AUTH_ED25519 "client_ed25519"
#define AUTH_NATIVE_LEN 20
#define AUTH_SHA2_LEN 32
#define AUTH_ED25519_LEN 64
#define AUTH_ED25519_SCRAMBLE 32
#define AUTH_RESPONSE_MOST AUTH_ED25519_LEN
#define AUTH_OLD_LEN 8 /* of the scramble, too; a NUL follows it in its packet */
/* AuthMoreData bytes of caching_sha2_password */
#define SHA2_REQUEST_PUBLIC_KEY 0x02
#define SHA256_REQUEST_PUBLIC_KEY 0x01 /* of sha256_password */
#define SHA2_FAST_OK 0x03
#define SHA2_FULL 0x04

enum rc auth_scramble(uint8_t out[SCRAMBLE_LEN]) must_check; /* random, no NUL and no '$' byte */

/* Client side. An empty password gives an empty answer (callers test). */
enum rc auth_native_response(struct span password, const uint8_t scramble[SCRAMBLE_LEN],
			     uint8_t out[AUTH_NATIVE_LEN]) must_check;
enum rc auth_sha2_response(struct span password, const uint8_t scramble[SCRAMBLE_LEN],
			   uint8_t out[AUTH_SHA2_LEN]) must_check;
enum rc auth_ed25519_response(struct span password, struct span scramble, uint8_t out[AUTH_ED25519_LEN]) must_check;
/* Not for an empty password. */
void auth_old_response(struct span password, const uint8_t scramble[AUTH_OLD_LEN], uint8_t out[AUTH_OLD_LEN]);
/* The password for the server's public key (PEM); out holds ciphertext, *out_len its capacity and then its length. */
enum rc auth_rsa_encrypt(struct span pem, struct span password, const uint8_t scramble[SCRAMBLE_LEN], uint8_t *out,
			 size_t *out_len) must_check;

/* Server side. Verifiers are what is kept in place of a password. Comparisons take constant time. */
enum rc auth_native_verifier(struct span password, uint8_t out[AUTH_NATIVE_LEN]) must_check; /* SHA1(SHA1(pw)) */
enum rc auth_sha2_verifier(struct span password, uint8_t out[AUTH_SHA2_LEN]) must_check;     /* SHA256(SHA256(pw)) */
bool auth_native_check(struct span response, const uint8_t scramble[SCRAMBLE_LEN],
		       const uint8_t verifier[AUTH_NATIVE_LEN]);
bool auth_sha2_check(struct span response, const uint8_t scramble[SCRAMBLE_LEN], const uint8_t verifier[AUTH_SHA2_LEN]);

/* The process's RSA key for full exchange with clients without TLS (2048 bits, made at start, shared, read-only). */
struct auth_rsa;
struct auth_rsa *auth_rsa_new(void) must_check;
void auth_rsa_free(struct auth_rsa *k);
struct span auth_rsa_public_pem(const struct auth_rsa *k);
/* Undoes what a client sent: out must hold 512 bytes; *len is the password's length without its NUL. RC_ERROR:
 * garbage. The caller wipes out. */
enum rc auth_rsa_decrypt(struct auth_rsa *k, struct span cipher, const uint8_t scramble[SCRAMBLE_LEN], uint8_t *out,
			 size_t *len) must_check;

#endif
