#include "cli_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "iobuf.h"
#include "settings.h"

static enum rc number(const char *option, const char *text, unsigned long least, unsigned long most, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	if (errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= least && *out <= most)
		return RC_OK;
	(void)fprintf(stderr, "suimon: --%s %s: not allowed, allowed is a number from %lu to %lu\n", option, text,
		      least, most);
	return RC_ERROR;
}

enum rc cli_options_parse(int argc, char **argv, struct cli_options *o)
{
	static const struct option rows[] = {
		{"http", required_argument, NULL, 'a'},     {"token", required_argument, NULL, 't'},
		{"dir", required_argument, NULL, 'd'},      {"config", required_argument, NULL, 'c'},
		{"limit", required_argument, NULL, 'l'},    {"from", required_argument, NULL, 'f'},
		{"interval", required_argument, NULL, 'i'}, {"json", no_argument, NULL, 'j'},
		{"once", no_argument, NULL, 'o'},           {"pending", no_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},           {"user", required_argument, NULL, 'u'},
		{"schema", required_argument, NULL, 's'},   {NULL, 0, NULL, 0},
	};
	enum rc rc = RC_OK;
	int c;

	*o = (struct cli_options){.limit = 20, .interval = 1};
	optind = 1;
	while (rc == RC_OK && (c = getopt_long(argc, argv, "c:h", rows, NULL)) != -1) {
		switch (c) {
		case 'a':
			o->http = optarg;
			break;
		case 't':
			o->token = optarg;
			break;
		case 'd':
			o->dir = optarg;
			break;
		case 'c':
			o->file = optarg;
			break;
		case 'l':
			rc = number("limit", optarg, 1, 1000, &o->limit);
			break;
		case 'f':
			rc = number("from", optarg, 0, ULONG_MAX, &o->from);
			break;
		case 'i':
			rc = number("interval", optarg, 1, 3600, &o->interval);
			break;
		case 'j':
			o->json = true;
			break;
		case 'o':
			o->once = true;
			break;
		case 'p':
			o->pending = true;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 's':
			o->schema = optarg;
			break;
		case 'h':
			o->help = true;
			break;
		default:
			rc = RC_ERROR;
		}
	}
	o->words = argv + optind;
	o->nwords = argc - optind;
	return rc;
}

static struct settings *settings_of(const char *file)
{
	struct settings *s;
	struct iobuf faults;

	iobuf_init(&faults, 1024 * 1024);
	s = settings_load(file, NULL, &faults);
	if (!s)
		(void)fprintf(stderr, "%.*s", (int)iobuf_len(&faults), (const char *)iobuf_data(&faults));
	iobuf_reset(&faults);
	return s;
}

struct cli_http *cli_options_connect(const struct cli_options *o)
{
	const char *set = getenv("SUIMON_HTTP"), *http = o->http ? o->http : set && *set ? set : "127.0.0.1:6034",
		   *token = o->token ? o->token : getenv("SUIMON_ADMIN_TOKEN");
	struct settings *s = NULL;
	struct cli_http *h = NULL;
	struct cli_host at;

	if (o->file) {
		s = settings_of(o->file);
		if (!s)
			return NULL;
		http = o->http ? o->http : s->listen.http.text;
		token = token ? token : secret_text(s->admin_token).p;
	}
	if (cli_host_parse(http, &at) == RC_OK) {
		h = cli_http_new(&at, token ? token : "");
		if (!h)
			(void)fprintf(stderr, "suimon: out of memory\n");
	} else {
		(void)fprintf(stderr, "suimon: %s: no address of an instance, allowed is HOST:PORT\n", http);
	}
	settings_unref(s);
	return h;
}
