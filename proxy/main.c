/*
 * main.c - the command line.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "cli.h"
#include "cli_advise.h"
#include "digest.h"
#include "fleet_push.h"
#include "process.h"
#include "tls.h"
#include "version.h"

static const char usage_text[] =
	"usage: suimon --primary HOST:PORT              run with defaults in front of a server\n"
	"       suimon -c FILE                          run from a configuration\n"
	"       suimon check -c FILE                    validate it and print what is in effect\n"
	"       suimon digest 'SQL' | -                 what suimon makes of a statement\n"
	"       suimon top [--http ADDR]                live view of a running instance\n"
	"       suimon queue ls|show|retry|discard|bury|pause|resume|drain|check|skip\n"
	"       suimon push-config -c FILE DOCUMENT     put rules where many instances take them from\n"
	"       suimon advise [--verify ...]            the indexes proposed; what each is worth, on a copy\n"
	"       suimon health | ready                   is a running instance up; could it serve a read\n"
	"       suimon version\n";

static int usage(FILE *out)
{
	(void)fputs(usage_text, out);
	return out == stdout ? EXIT_FINE : EXIT_CONFIG;
}

static int version(void)
{
	version_print();
	return EXIT_FINE;
}

static int run_options(int argc, char **argv, char **all, bool check)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"primary", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},	  {"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	const char *file = NULL, *primary = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "c:hv", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			file = optarg;
			break;
		case 'p':
			primary = optarg;
			break;
		case 'h':
			return usage(stdout);
		case 'v':
			return version();
		default:
			return usage(stderr);
		}
	}
	if (optind < argc || (!file && !primary))
		return usage(stderr);
	return check ? settings_check_main(file, primary) : process_run(all, file, primary);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	tls_begin();
	if (strcmp(verb, "check") == 0)
		return run_options(argc - 1, argv + 1, argv, true);
	if (strcmp(verb, "run") == 0)
		return run_options(argc - 1, argv + 1, argv, false);
	if (strcmp(verb, "digest") == 0)
		return argc == 3 ? sql_digest_main(argv[2]) : usage(stderr);
	if (strcmp(verb, "queue") == 0)
		return cli_queue(argc - 1, argv + 1);
	if (strcmp(verb, "push-config") == 0)
		return fleet_push_main(argc - 1, argv + 1);
	if (strcmp(verb, "top") == 0)
		return cli_top(argc - 1, argv + 1);
	if (strcmp(verb, "advise") == 0)
		return cli_advise(argc - 1, argv + 1);
	if (strcmp(verb, "health") == 0 || strcmp(verb, "ready") == 0)
		return cli_health(argc - 1, argv + 1);
	if (strcmp(verb, "version") == 0)
		return version();
	if (strcmp(verb, "help") == 0)
		return usage(stdout);
	return run_options(argc, argv, argv, false);
}
