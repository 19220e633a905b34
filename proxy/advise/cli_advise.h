/*
 * cli_advise.h - `suimon advise`: the indexes a running instance proposes; with --verify what each is worth, on a copy.
 */
#ifndef SUIMON_CLI_ADVISE_H
#define SUIMON_CLI_ADVISE_H

/* argv[0] is the verb. The exit code: 0 fine, 1 usage, or one could not be verified, 2 the instance cannot be reached. */
int cli_advise(int argc, char **argv);

#endif
