/*
 * random.c - see random.h.
 */
#include "random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

enum rc random_bytes(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return RC_ERROR;
		p += n;
		len -= (size_t)n;
	}
	return RC_OK;
}
