/*
 * handshake.h - the connection phase, both ends of it: greeting, login request, AuthSwitch, AuthMoreData. Pure.
 */
#ifndef SUIMON_HANDSHAKE_H
#define SUIMON_HANDSHAKE_H

#include "packet.h"

/* Server greeting, protocol version 10. */
struct greeting {
	char version[128]; /* NUL-terminated; MariaDB's "5.5.5-" prefix is kept as sent */
	uint32_t thread_id;
	uint8_t scramble[SCRAMBLE_LEN];
	uint64_t caps; /* with MariaDB's extended ones in the upper half */
	uint8_t collation;
	uint16_t status;
	char plugin[64]; /* default authentication plugin */
	bool mariadb;    /* by the capability flag, not by the version text */
};

/* proto.h's CLIENT_LONG_PASSWORD tells the two servers apart, here and in a login's caps: without it MariaDB's extended
 * capabilities are read and written. handshake_put_greeting sets or clears it by g->mariadb. */
/* An ERR packet in place of a greeting (too many connections, host blocked) is RC_DECLINED. */
enum rc handshake_parse_greeting(struct span payload, struct greeting *g) must_check;
enum rc handshake_put_greeting(struct iobuf *b, uint8_t *seq, const struct greeting *g) must_check;

/* The client's login request (HandshakeResponse41), or an SSLRequest (ssl_request set, nothing behind collation). */
struct login {
	uint64_t caps; /* parsed: what the client set, as far as the server has offered it */
	uint32_t max_packet;
	uint8_t collation;
	bool ssl_request;
	struct span user; /* spans point into the payload */
	struct span auth; /* authentication response */
	struct span schema;
	struct span plugin;
	struct span attrs; /* raw connection attributes, with their total length taken off */
	uint8_t zstd_level;
};

enum rc handshake_parse_login(struct span payload, uint64_t server_caps, struct login *l) must_check;
/* l->caps must be the capabilities to negotiate; writes what they call for. */
enum rc handshake_put_login(struct iobuf *b, uint8_t *seq, const struct login *l) must_check;

/* COM_CHANGE_USER's payload (behind the command byte). caps: the session's. */
struct change_user {
	struct span user, auth, schema, plugin, attrs;
	uint16_t collation; /* 0 where absent */
};
enum rc handshake_parse_change_user(struct span payload, uint64_t caps, struct change_user *c) must_check;
/* Writes the command byte too. */
enum rc handshake_put_change_user(struct iobuf *b, uint8_t *seq, uint64_t caps, const struct change_user *c) must_check;

struct auth_switch {
	struct span plugin;
	struct span data; /* the scramble; behind one of 20 bytes the NUL is taken off */
};
/* The payload begins with 0xfe. */
enum rc handshake_parse_auth_switch(struct span payload, struct auth_switch *s) must_check;
enum rc handshake_put_auth_switch(struct iobuf *b, uint8_t *seq, const char *plugin,
				  const uint8_t scramble[SCRAMBLE_LEN]) must_check;
enum rc handshake_put_auth_more(struct iobuf *b, uint8_t *seq, struct span data) must_check; /* 0x01 + data */

#endif
