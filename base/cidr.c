#include "cidr.h"

#include <string.h>

#include <arpa/inet.h>

#define MAPPED 96 /* bits in front of an IPv4 address */

enum rc cidr_address(const char *text, uint8_t out[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET6, text, out) == 1)
		return RC_OK;
	memcpy(out, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, out + sizeof(mapped)) == 1 ? RC_OK : RC_ERROR;
}

static enum rc read_bits(const char *text, unsigned most, unsigned *out)
{
	unsigned n = 0;

	if (!*text || strlen(text) > 3)
		return RC_ERROR;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return RC_ERROR;
		n = n * 10 + (unsigned)(*text - '0');
	}
	*out = n;
	return n <= most ? RC_OK : RC_ERROR;
}

enum rc cidr_parse(const char *text, struct cidr *out)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	unsigned bits, most;

	if (len >= sizeof(address))
		return RC_ERROR;
	memcpy(address, text, len);
	address[len] = '\0';
	most = strchr(address, ':') ? 128 : 32;
	bits = most;
	if (cidr_address(address, out->addr) != RC_OK || (slash && read_bits(slash + 1, most, &bits) != RC_OK))
		return RC_ERROR;
	out->bits = (uint8_t)(most == 32 ? MAPPED + bits : bits);
	return RC_OK;
}

bool cidr_has(const struct cidr *c, const uint8_t addr[16])
{
	size_t whole = c->bits / 8;
	uint8_t mask = (uint8_t)(0xff00 >> c->bits % 8);

	if (memcmp(c->addr, addr, whole) != 0)
		return false;
	return c->bits % 8 == 0 || ((c->addr[whole] ^ addr[whole]) & mask) == 0;
}
