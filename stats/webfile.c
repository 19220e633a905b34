/*
 * webfile.c - finds a file of the dashboard by its path.
 */
#include "webfile.h"

#include "stats.h"

struct span stats_web_file(const char *path, const char **content_type)
{
	if (strcmp(path, "/") == 0)
		path = "/index.html";
	for (const struct webfile *f = webfiles; f->path; f++) {
		if (strcmp(f->path, path) == 0) {
			*content_type = f->content_type;
			return span_of(f->data, f->len);
		}
	}
	*content_type = NULL;
	return span_of(NULL, 0);
}
