/*
 * cli_http.h - asks a running instance over HTTP, one call at a time, and waits for the answer.
 */
#ifndef SUIMON_CLI_HTTP_H
#define SUIMON_CLI_HTTP_H

#include <event2/event.h>
#include <jansson.h>

#include "rc.h"
#include "span.h"

#define CLI_HTTP_SECONDS 10 /* an instance from which nothing comes for longer does not answer */

struct cli_http;

struct cli_host {
	char host[256];
	uint16_t port;
};
/* "HOST:PORT", "[v6]:PORT", "http://HOST:PORT/": an address to listen on for all stands for this host. */
enum rc cli_host_parse(const char *text, struct cli_host *out) must_check;

/* token: "" or the instance's. NULL: out of memory. */
struct cli_http *cli_http_new(const struct cli_host *at, const char *token) must_check;
void cli_http_free(struct cli_http *h);
/* From now on a call has this long for all of its answer; 0, the default: as long as something comes. */
void cli_http_limit(struct cli_http *h, unsigned seconds);
const char *cli_http_where(const struct cli_http *h); /* host:port */
/* Its loop runs while a call waits: events added here are served meanwhile. */
struct event_base *cli_http_base(struct cli_http *h);

/* RC_OK: the answer's JSON, to json_decref. RC_DECLINED: the instance answered and refused. RC_ERROR: it could not be
 * reached or did not answer like suimon. Unless RC_OK, cli_http_why says why and *answer is NULL. */
enum rc cli_http_get(struct cli_http *h, const char *path, json_t **answer) must_check;
enum rc cli_http_post(struct cli_http *h, const char *path, json_t **answer) must_check;
/* For what answers in plain text: *text is the answer's body, until the next call. RC_DECLINED: the status is not 200. */
enum rc cli_http_text(struct cli_http *h, const char *path, struct span *text) must_check;
const char *cli_http_why(const struct cli_http *h);
void cli_http_abort(struct cli_http *h); /* from an event of its loop: the call that waits ends with RC_ERROR */

#endif
