/*
 * check.c - `suimon check`.
 */
#include "check.h"

#include <stdio.h>

#include "settings.h"

static int spill(const struct iobuf *b, FILE *to)
{
	size_t len = iobuf_len(b);

	return (len == 0 || fwrite(iobuf_data(b), 1, len, to) == len) && fflush(to) == 0 ? 0 : 1;
}

int settings_check_main(const char *file, const char *primary)
{
	struct iobuf faults, out; /* faults, or where there are none, warnings */
	struct settings *s;
	int rc = 1;

	iobuf_init(&faults, 0);
	iobuf_init(&out, 0);
	s = settings_load(file, primary, &faults);
	if (!s)
		(void)spill(&faults, stderr);
	else if (settings_print(s, &out) != RC_OK || settings_warnings(s, &faults) != RC_OK)
		fputs("memory: ran out while printing, more memory is needed\n", stderr);
	else
		rc = spill(&out, stdout) | spill(&faults, stderr);
	settings_unref(s);
	iobuf_reset(&faults);
	iobuf_reset(&out);
	return rc;
}
