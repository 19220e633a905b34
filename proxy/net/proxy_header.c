#include "proxy_header.h"

#include <string.h>

#include <arpa/inet.h>

#include "mbuf.h"
#include "span.h"

#define V1_MOST 107 /* with its CRLF, and what the protocol allows at most */

static const uint8_t v2_signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

static enum rc wrong(const char **why, const char *text)
{
	*why = text;
	return RC_ERROR;
}

/* The address in its usual form, whatever form it came in. */
static enum rc put_peer(struct proxy_header *h, int family, const void *addr)
{
	return inet_ntop(family, addr, h->peer, sizeof(h->peer)) ? RC_OK : RC_ERROR;
}

/* ---- version 1: a line of text ---- */

/* Takes the next word; words are parted by one space each. */
static struct span word(struct span *line)
{
	const char *space = line->len ? memchr(line->p, ' ', line->len) : NULL;
	struct span w = span_of(line->p, space ? (size_t)(space - line->p) : line->len);

	*line = space ? span_of(space + 1, line->len - w.len - 1) : span_of(NULL, 0);
	return w;
}

static bool is_port(struct span w)
{
	unsigned n = 0;

	if (w.len == 0 || w.len > 5 || (w.len > 1 && w.p[0] == '0'))
		return false;
	for (size_t i = 0; i < w.len; i++) {
		if (w.p[i] < '0' || w.p[i] > '9')
			return false;
		n = n * 10 + (unsigned)(w.p[i] - '0');
	}
	return n <= 65535;
}

static bool read_address(int family, struct span w, struct in6_addr *out)
{
	char text[INET6_ADDRSTRLEN];

	if (w.len == 0 || w.len >= sizeof(text) || memchr(w.p, '\0', w.len))
		return false;
	memcpy(text, w.p, w.len);
	text[w.len] = '\0';
	return inet_pton(family, text, out) == 1;
}

static enum rc parse_line(struct span line, struct proxy_header *h, const char **why)
{
	struct in6_addr from, to;
	struct span kind;
	int family;

	(void)word(&line); /* PROXY */
	kind = word(&line);
	if (span_eq(kind, span_str("UNKNOWN"))) {
		h->own = true;
		return RC_OK;
	}
	if (!span_eq(kind, span_str("TCP4")) && !span_eq(kind, span_str("TCP6")))
		return wrong(why, "a PROXY header of an unknown family");
	family = kind.p[3] == '4' ? AF_INET : AF_INET6;
	if (!read_address(family, word(&line), &from) || !read_address(family, word(&line), &to))
		return wrong(why, "a PROXY header with a wrong address");
	if (!is_port(word(&line)) || !is_port(word(&line)) || line.p)
		return wrong(why, "a PROXY header with a wrong port");
	return put_peer(h, family, &from);
}

static enum rc parse_v1(const uint8_t *p, size_t len, struct proxy_header *h, const char **why)
{
	size_t look = len < V1_MOST ? len : V1_MOST;
	const uint8_t *nl = memchr(p, '\n', look);

	if (!nl)
		return len < V1_MOST ? RC_AGAIN : wrong(why, "a PROXY header without an end");
	if (nl == p || nl[-1] != '\r')
		return wrong(why, "a PROXY header that does not end in CRLF");
	h->len = (size_t)(nl - p) + 1;
	return parse_line(span_of(p, h->len - 2), h, why);
}

/* ---- version 2: binary ---- */

static enum rc parse_body(struct mbuf *m, uint8_t command, uint8_t kind, struct proxy_header *h, const char **why)
{
	int family = kind >> 4 == 1 ? AF_INET : AF_INET6;
	size_t each = family == AF_INET ? 4 : 16;
	struct span from;

	if (command == 0x20) { /* LOCAL: the proxy's own, whatever stands behind it */
		h->own = true;
		return RC_OK;
	}
	if (command != 0x21)
		return wrong(why, "a PROXY header with an unknown version or command");
	if (kind == 0x00 || kind >> 4 == 3) {
		h->own = true;
		return RC_OK;
	}
	if (kind != 0x11 && kind != 0x21)
		return wrong(why, "a PROXY header of an unknown family");
	if (mbuf_left(m) < 2 * each + 4 || mbuf_bytes(m, each, &from) != RC_OK)
		return wrong(why, "a PROXY header that is too short for its addresses");
	return put_peer(h, family, from.p);
}

static enum rc parse_v2(const uint8_t *p, size_t len, struct proxy_header *h, const char **why)
{
	struct mbuf m = mbuf_of(p, len), body;
	uint8_t command, kind, high, low;
	struct span rest;
	size_t n;

	if (mbuf_skip(&m, sizeof(v2_signature)) != RC_OK || mbuf_u8(&m, &command) != RC_OK || mbuf_u8(&m, &kind) != RC_OK ||
	    mbuf_u8(&m, &high) != RC_OK || mbuf_u8(&m, &low) != RC_OK)
		return RC_AGAIN;
	n = (size_t)high << 8 | low;
	h->len = sizeof(v2_signature) + 4 + n;
	if (h->len > PROXY_HEADER_MOST)
		return wrong(why, "a PROXY header that is too long");
	if (mbuf_bytes(&m, n, &rest) != RC_OK)
		return RC_AGAIN;
	body = mbuf_of(rest.p, rest.len);
	return parse_body(&body, command, kind, h, why);
}

/* Is p the beginning of this text, or this text the beginning of p? */
static bool may_begin(const uint8_t *p, size_t len, const void *text, size_t text_len)
{
	return memcmp(p, text, len < text_len ? len : text_len) == 0;
}

enum rc proxy_header_parse(const uint8_t *p, size_t len, struct proxy_header *h, const char **why)
{
	*h = (struct proxy_header){0};
	if (len == 0)
		return RC_AGAIN;
	if (may_begin(p, len, v2_signature, sizeof(v2_signature)))
		return len < sizeof(v2_signature) ? RC_AGAIN : parse_v2(p, len, h, why);
	if (may_begin(p, len, "PROXY ", 6))
		return len < 6 ? RC_AGAIN : parse_v1(p, len, h, why);
	return wrong(why, "something else than the PROXY header that is expected from this address");
}
