/*
 * cli_health.c - `suimon health` and `suimon ready`: /healthz and /readyz for what can run a command but has no HTTP client,
 * such as a container's health check.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "cli_options.h"

#define ANSWER_SECONDS 2 /* what runs it kills it after 3 to 5, and then nobody reads why */

static const char usage_text[] =
	"usage: suimon health                exit 0 while the instance serves, else 1, and why\n"
	"       suimon ready                 exit 0 while a client could run a read, else 1, and why; 2: it is not reached\n"
	"no answer within 2 seconds is none\n"
	"options: --http HOST:PORT   the instance (default: listen.http of -c FILE, else $SUIMON_HTTP, else 127.0.0.1:6034)\n";

int cli_health(int argc, char **argv)
{
	const char *path = strcmp(argv[0], "ready") == 0 ? "/readyz" : "/healthz";
	struct cli_options o;
	struct cli_http *h;
	struct span text;
	enum rc rc;

	if (cli_options_parse(argc, argv, &o) != RC_OK || o.nwords || o.help) {
		(void)fputs(usage_text, o.help ? stdout : stderr);
		return o.help ? CLI_FINE : CLI_REFUSED;
	}
	h = cli_options_connect(&o);
	if (!h)
		return CLI_REFUSED;
	cli_http_limit(h, ANSWER_SECONDS);
	rc = cli_http_text(h, path, &text);
	if (rc == RC_ERROR)
		(void)fprintf(stderr, "suimon %s: %s\n", argv[0], cli_http_why(h));
	else
		(void)fprintf(rc == RC_OK ? stdout : stderr, "%.*s", (int)text.len, text.p);
	cli_http_free(h);
	if (rc == RC_ERROR && strcmp(argv[0], "ready") == 0)
		return CLI_UNREACHED;
	return rc == RC_OK ? CLI_FINE : CLI_REFUSED; /* Docker reserves 2 in a health check */
}
