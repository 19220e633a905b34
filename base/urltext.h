/*
 * urltext.h - the parts of a URL, for those who understand one: [user:password@]host:port, percent-decoded, and numbers.
 */
#ifndef SUIMON_URLTEXT_H
#define SUIMON_URLTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rc.h"
#include "secret.h"
#include "span.h"

/* Decodes %XX into a string of the caller's, len bytes long. NULL: no memory, or a bad escape. */
char *urltext_decode(struct span s, size_t *len) must_check;
/* Up to five digits. RC_ERROR: none, or more than max. */
enum rc urltext_number(struct span s, unsigned max, unsigned *out) must_check;
/* Cuts s at the first c: what is before stays in s, *rest is behind it. False: no c. */
bool urltext_cut(struct span *s, char c, struct span *rest);
/* Cuts off what is before the last @, since a password may hold one. False: no @. */
bool urltext_cut_login(struct span *s, struct span *login);
/* "[user]:password": user is the caller's, NULL where there is none. RC_ERROR: it is not that, or no memory. */
enum rc urltext_login(struct span login, char **user, struct secret **password) must_check;
/* Of ?name=WORD, with which several share one Redis: letters, digits, - and _. */
#define URLTEXT_WORD_MOST 39
bool urltext_is_word(struct span s);
/* "host[:port]", "[IPv6][:port]", the host is the caller's. RC_ERROR: it is not that, or no memory. */
enum rc urltext_host(struct span s, uint16_t default_port, char **host, uint16_t *port) must_check;

#endif
