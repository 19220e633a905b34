/*
 * admin_route.h - paths: which pattern one fits, and the variable part of it.
 */
#ifndef SUIMON_ADMIN_ROUTE_H
#define SUIMON_ADMIN_ROUTE_H

#include <stddef.h>

#include "rc.h"
#include "span.h"

#define ROUTE_ARG_MAX 512 /* bytes of a variable part, decoded, with a NUL */

/* pattern: a path in which one segment may be "*": "/api/backends/ * /disable" without the spaces. path: as it was
 * sent, still with %XX. RC_OK: fits; arg has what stands for the star, decoded ("" where the pattern has none).
 * RC_DECLINED: does not fit. RC_ERROR: fits, but the star's part is empty, too long or wrongly encoded. */
enum rc route_match(const char *pattern, const char *path, char arg[ROUTE_ARG_MAX]) must_check;

/* Percent-decodes into out (cap bytes, NUL-terminated). RC_ERROR: does not fit, a NUL, or "%" without two digits. */
enum rc route_decode(struct span text, char *out, size_t cap) must_check;
/* Percent-encodes all but letters, digits and -._~ ; cut at cap. Returns out. */
const char *route_encode(const char *text, char *out, size_t cap);

#endif
