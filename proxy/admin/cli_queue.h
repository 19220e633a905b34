/*
 * cli_queue.h - the parts of `suimon queue`: where its JSON comes from, and how it is printed.
 *
 * what: {"queue": /api/queue, "dead": [...], "pending": [...]} for ls, {"record": {...}} for show.
 */
#ifndef SUIMON_CLI_QUEUE_H
#define SUIMON_CLI_QUEUE_H

#include <jansson.h>

#include "cli_options.h"
#include "iobuf.h"

/* Of a directory (cli_queue_dir.c); the exit code, with what failed printed. */
int queue_list_dir(const struct cli_options *o, json_t *what) must_check;
int queue_show_dir(const struct cli_options *o, json_t *what) must_check;

/* Prints where the log is damaged, and skips it if asked to. CLI_REFUSED, too, if there is damage that stays. */
int queue_check_dir(const struct cli_options *o, bool skip) must_check;

/* cli_queue_print.c */
enum rc queue_put_totals(struct iobuf *out, const json_t *what) must_check;
enum rc queue_put_list(struct iobuf *out, const json_t *what) must_check;
enum rc queue_put_record(struct iobuf *out, const json_t *what) must_check;

#endif
