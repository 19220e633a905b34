/*
 * webfile.h - the dashboard's files; the table is made at build by web/embed.py.
 */
#ifndef SUIMON_WEBFILE_H
#define SUIMON_WEBFILE_H

#include <stddef.h>

struct webfile {
	const char *path; /* "/app.js"; NULL ends the table */
	const char *content_type;
	const unsigned char *data;
	size_t len;
};

extern const struct webfile webfiles[];

#endif
