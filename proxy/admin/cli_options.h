/*
 * cli_options.h - the options of the verbs that work on an instance, and where that instance is.
 */
#ifndef SUIMON_CLI_OPTIONS_H
#define SUIMON_CLI_OPTIONS_H

#include <stdbool.h>

#include "cli_http.h"
#include "rc.h"

enum { CLI_FINE = 0, CLI_REFUSED = 1, CLI_UNREACHED = 2 };

struct cli_options {
	const char *http;  /* --http ADDR; NULL: of the file, else SUIMON_HTTP, else 127.0.0.1:6034 */
	const char *token; /* --token; NULL: SUIMON_ADMIN_TOKEN, else of the file */
	const char *dir;   /* --dir DIR: a stopped instance's queue directory */
	const char *file;  /* -c FILE */
	const char *user, *schema; /* --user, --schema: whose statements, and where */
	unsigned long limit, from;
	unsigned long interval; /* seconds */
	bool json, once, pending, help;
	char **words;      /* what is no option */
	int nwords;
};

/* RC_ERROR: what is wrong was printed. argv[0] is the verb; its words are moved to its end. */
enum rc cli_options_parse(int argc, char **argv, struct cli_options *o) must_check;
/* NULL: why was printed. */
struct cli_http *cli_options_connect(const struct cli_options *o) must_check;

#endif
