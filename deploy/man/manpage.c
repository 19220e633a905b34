/*
 * manpage.c - writes suimon.yaml(5): the parts before and after the reference from files, the reference from the option table.
 *
 * manpage HEAD FOOT: the page on stdout. Run by the build.
 */
#include <stdio.h>

#include "settings.h"

static int copy(const char *path)
{
	FILE *f = fopen(path, "rb");
	char buf[4096];
	size_t n;

	if (!f) {
		perror(path);
		return 1;
	}
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		if (fwrite(buf, 1, n, stdout) != n)
			break;
	n = (size_t)ferror(f) | (size_t)ferror(stdout);
	(void)fclose(f);
	return n != 0;
}

int main(int argc, char **argv)
{
	struct iobuf out;
	int failed;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: %s HEAD FOOT\n", argv[0]);
		return 2;
	}
	iobuf_init(&out, 0);
	failed = copy(argv[1]) || settings_manpage(&out) != RC_OK ||
		 fwrite(iobuf_data(&out), 1, iobuf_len(&out), stdout) != iobuf_len(&out) || copy(argv[2]) || fflush(stdout) != 0;
	iobuf_reset(&out);
	if (failed)
		(void)fprintf(stderr, "%s: the page could not be written\n", argv[0]);
	return failed;
}
