/*
 * PROXY headers: whatever the bytes, what is read of them stays the same when they come with more behind, and less than
 * all of a header is never taken for one.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h, again;
	const char *why = NULL;
	enum rc rc = proxy_header_parse(data, size, &h, &why);

	must(rc == RC_OK || rc == RC_AGAIN || (rc == RC_ERROR && why && *why));
	if (rc == RC_AGAIN)
		must(size < PROXY_HEADER_MOST);
	if (rc != RC_OK)
		return 0;
	must(h.len > 0 && h.len <= size && h.len <= PROXY_HEADER_MOST && h.own == (h.peer[0] == '\0'));
	must(memchr(h.peer, '\0', sizeof(h.peer)) != NULL);
	must(proxy_header_parse(data, h.len, &again, &why) == RC_OK && again.len == h.len && strcmp(again.peer, h.peer) == 0);
	must(proxy_header_parse(data, h.len - 1, &again, &why) == RC_AGAIN);
	return 0;
}
