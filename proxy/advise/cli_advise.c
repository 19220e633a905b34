#include "cli_advise.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>

#include "cli_http.h"
#include "cli_options.h"
#include "verify.h"

static const char usage_text[] =
	"usage: suimon advise [DIGEST ...]                       what is proposed for each missing or unused index, and the routes that a CDN could hold\n"
	"       suimon advise --verify --scratch SCHEMA --server HOST:PORT --user NAME [DIGEST ...]\n"
	"                                                        tries each on a copy, and shows EXPLAIN and time before and after\n"
	"options: --http HOST:PORT   the instance (default: listen.http of -c FILE, else $SUIMON_HTTP, else 127.0.0.1:6034)\n"
	"         --token TOKEN      its admin_token (default: $SUIMON_ADMIN_TOKEN, else that of -c FILE)\n"
	"         --scratch SCHEMA   where the copy is made: empty, or not there; it is left as it was\n"
	"         --server ADDR      a server that has the tables, best a replica: HOST:PORT or unix:/path\n"
	"         --user NAME        an account that may read them and do all in the scratch schema; its password: $SUIMON_PASSWORD\n"
	"         --tls MODE         towards the server: disabled, preferred (default) or required\n"
	"         --rows N           copied of each table at most (100000)\n"
	"         --seconds N        that a statement may take (30)\n";

struct advise_options {
	struct cli_options cli;
	struct verify_options verify;
	const char *server, *tls;
	bool on;
	struct cli_host at;
};

/* ---- options ---- */

static int wrong(const char *option, const char *value, const char *allowed)
{
	(void)fprintf(stderr, "suimon advise: --%s %s: not allowed, allowed is %s\n", option, value ? value : "(none)", allowed);
	return CLI_REFUSED;
}

static bool number(const char *text, unsigned long least, unsigned long most, unsigned long *out)
{
	char *end;

	*out = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && *out >= least && *out <= most;
}

static int take_option(struct advise_options *o, int c)
{
	switch (c) {
	case 'a':
		o->cli.http = optarg;
		return CLI_FINE;
	case 't':
		o->cli.token = optarg;
		return CLI_FINE;
	case 'c':
		o->cli.file = optarg;
		return CLI_FINE;
	case 'v':
		o->on = true;
		return CLI_FINE;
	case 's':
		o->verify.scratch = optarg;
		return CLI_FINE;
	case 'S':
		o->server = optarg;
		return CLI_FINE;
	case 'u':
		o->verify.user = optarg;
		return CLI_FINE;
	case 'T':
		o->tls = optarg;
		return CLI_FINE;
	case 'r':
		return number(optarg, 100, 10000000, &o->verify.rows) ? CLI_FINE : wrong("rows", optarg, "100 to 10000000");
	case 'n':
		return number(optarg, 1, 3600, &o->verify.seconds) ? CLI_FINE : wrong("seconds", optarg, "1 to 3600");
	case 'h':
		o->cli.help = true;
		return CLI_FINE;
	default:
		return CLI_REFUSED;
	}
}

static int parse(int argc, char **argv, struct advise_options *o)
{
	static const struct option rows[] = {
		{"http", required_argument, NULL, 'a'},    {"token", required_argument, NULL, 't'},
		{"config", required_argument, NULL, 'c'},  {"verify", no_argument, NULL, 'v'},
		{"scratch", required_argument, NULL, 's'}, {"server", required_argument, NULL, 'S'},
		{"user", required_argument, NULL, 'u'},    {"tls", required_argument, NULL, 'T'},
		{"rows", required_argument, NULL, 'r'},    {"seconds", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
	};
	int c, code = CLI_FINE;

	optind = 1;
	while (code == CLI_FINE && (c = getopt_long(argc, argv, "c:h", rows, NULL)) != -1)
		code = take_option(o, c);
	o->cli.words = argv + optind;
	o->cli.nwords = argc - optind;
	return code;
}

static int parse_tls(struct advise_options *o)
{
	static const struct {
		const char *name;
		enum tls_mode mode;
	} modes[] = {{"disabled", TLS_DISABLED}, {"preferred", TLS_PREFERRED}, {"required", TLS_REQUIRED}};

	for (size_t i = 0; i < countof(modes); i++) {
		if (strcmp(o->tls, modes[i].name) != 0)
			continue;
		o->verify.tls.mode = modes[i].mode;
		return CLI_FINE;
	}
	return wrong("tls", o->tls, "disabled, preferred or required");
}

/* Everything that says where something is written must have been said. */
static int check(struct advise_options *o)
{
	const char *why;

	if (!o->on)
		return CLI_FINE;
	if (!o->verify.scratch || !verify_scratch_allowed(o->verify.scratch, &why))
		return wrong("scratch", o->verify.scratch, o->verify.scratch ? why : "a schema that is empty or not there");
	if (!o->verify.user)
		return wrong("user", NULL, "an account of the server");
	if (!o->server)
		return wrong("server", NULL, "HOST:PORT or unix:/path");
	if (strncmp(o->server, "unix:/", 6) == 0) {
		o->verify.host = o->server + 5;
	} else if (cli_host_parse(o->server, &o->at) == RC_OK) {
		o->verify.host = o->at.host;
		o->verify.port = o->at.port;
	} else {
		return wrong("server", o->server, "HOST:PORT or unix:/path");
	}
	return parse_tls(o);
}

/* ---- findings ---- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_asked(const struct advise_options *o, const char *digest)
{
	bool asked = o->cli.nwords == 0;

	for (int i = 0; i < o->cli.nwords; i++)
		asked |= strcasecmp(o->cli.words[i], digest) == 0;
	return asked;
}

static void print(const json_t *finding)
{
	const char *sql = text_of(finding, "fix_sql"), *statement = text_of(finding, "fix_statement");

	(void)printf("%s  %.3f s\n  %s\n  %s\n  %s\n", text_of(finding, "digest"),
		     json_number_value(json_object_get(finding, "cost_seconds")), text_of(finding, "text"),
		     text_of(json_object_get(finding, "evidence"), "reason"), *sql ? sql : text_of(finding, "fix_text"));
	if (*statement)
		(void)printf("  %s\n  neither helps without the other\n", statement);
}

static int not_verified(const struct advise_options *o, const json_t *finding)
{
	(void)printf("%s\n  not verified: its fix is words alone: %s\n", text_of(finding, "digest"), text_of(finding, "fix_text"));
	return o->cli.nwords ? CLI_REFUSED : CLI_FINE;
}

static int verify_one(const struct advise_options *o, struct cli_http *h, const json_t *finding)
{
	const char *sql = text_of(finding, "fix_sql");
	bool alters = begins(sql, "ALTER TABLE ");
	struct verify_case what = {.digest = text_of(finding, "digest"),
				   .alter = alters ? sql : "",
				   .statement = alters ? text_of(finding, "fix_statement") : sql};
	const json_t *sample;
	enum rc rc = RC_DECLINED;
	char path[64];
	json_t *query;

	if (*sql == '\0')
		return not_verified(o, finding);
	(void)snprintf(path, sizeof(path), "/api/queries/%.20s", what.digest);
	if (cli_http_get(h, path, &query) != RC_OK) {
		(void)fprintf(stderr, "suimon advise: %s\n", cli_http_why(h));
		return CLI_UNREACHED;
	}
	sample = json_array_get(json_object_get(query, "samples"), 0);
	what.schema = text_of(query, "schema");
	what.sql = text_of(sample, "sql");
	if (what.sql[0] && what.schema[0] && !json_is_true(json_object_get(sample, "cut")))
		rc = verify_run(&o->verify, &what);
	else
		(void)printf("%s in %s\n  not verified: there is no whole sample of it that may be seen (stats.samples, --token)\n",
			     what.digest, what.schema);
	json_decref(query);
	return rc == RC_OK ? CLI_FINE : CLI_REFUSED;
}

/* Routes whose pages need not come here at all. An instance that does not know of them has none. */
static void print_held(struct cli_http *h)
{
	json_t *costs, *route;
	size_t i;

	if (cli_http_get(h, "/api/costs", &costs) != RC_OK)
		return;
	json_array_foreach(json_object_get(costs, "by_route"), i, route) {
		json_int_t ttl = json_integer_value(json_object_get(route, "cdn_ttl"));

		if (ttl > 0)
			(void)printf("route %s  %.3f s\n  a CDN could hold its pages for %" JSON_INTEGER_FORMAT
				     " s: all its %" JSON_INTEGER_FORMAT " statements are reads that the cache could answer, of tables that are "
				     "seldom written\n",
				     text_of(route, "name"), json_number_value(json_object_get(route, "server_time")), ttl,
				     json_integer_value(json_object_get(route, "calls")));
	}
	json_decref(costs);
}

static int work(const struct advise_options *o, struct cli_http *h)
{
	int code = CLI_FINE, one;
	size_t i, seen = 0;
	json_t *all, *f;

	if (cli_http_get(h, "/api/findings", &all) != RC_OK) {
		(void)fprintf(stderr, "suimon advise: %s\n", cli_http_why(h));
		return CLI_UNREACHED;
	}
	json_array_foreach(json_object_get(all, "findings"), i, f) {
		if (strcmp(text_of(f, "kind"), "missing_index") != 0 || !is_asked(o, text_of(f, "digest")) || verify_is_interrupted())
			continue;
		seen++;
		if (o->on) {
			one = verify_one(o, h, f);
			code = one == CLI_FINE ? code : one;
		} else {
			print(f);
		}
	}
	if (!seen)
		(void)printf("no index is proposed%s\n", o->cli.nwords ? " for these" : "");
	json_decref(all);
	if (!o->on && !o->cli.nwords)
		print_held(h);
	return code;
}

static int connected(struct advise_options *o)
{
	struct sigaction on_signal = {.sa_handler = verify_interrupt};
	const char *password = getenv("SUIMON_PASSWORD");
	struct cli_http *h;
	int code;

	if (password && *password) {
		o->verify.password = secret_new(span_str(password));
		if (!o->verify.password)
			return CLI_REFUSED;
	}
	(void)sigaction(SIGINT, &on_signal, NULL);
	(void)sigaction(SIGTERM, &on_signal, NULL);
	h = cli_options_connect(&o->cli);
	code = h ? work(o, h) : CLI_REFUSED;
	cli_http_free(h);
	secret_unref(o->verify.password);
	return code;
}

int cli_advise(int argc, char **argv)
{
	struct advise_options o = {.verify = {.rows = 100000, .seconds = 30, .out = stdout}, .tls = "preferred"};
	int code = parse(argc, argv, &o);

	if (code == CLI_FINE && o.cli.help) {
		(void)fputs(usage_text, stdout);
		return CLI_FINE;
	}
	if (code != CLI_FINE) {
		(void)fputs(usage_text, stderr);
		return code;
	}
	code = check(&o);
	return code == CLI_FINE ? connected(&o) : code;
}
