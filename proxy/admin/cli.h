/*
 * cli.h - the verbs that talk to a running instance over HTTP, or to a stopped one's queue directory.
 *
 * argv[0] is the verb. Each returns the exit code: 0 fine, 1 usage or refusal, 2 the instance cannot be reached.
 */
#ifndef SUIMON_CLI_H
#define SUIMON_CLI_H

/* queue ls|show ID|retry ID|discard ID|bury SEQ|pause|resume|drain [--http ADDR] [--token T] [--dir DIR] [-c FILE] */
int cli_queue(int argc, char **argv);
/* top [--http ADDR] [--interval SECONDS] [--once] */
int cli_top(int argc, char **argv);
/* health | ready [--http ADDR] [-c FILE] */
int cli_health(int argc, char **argv);

#endif
