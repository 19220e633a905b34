/*
 * secret.h - passwords in memory that no core dump shows (MADV_DONTDUMP, mlock where allowed), wiped when freed.
 */
#ifndef SUIMON_SECRET_H
#define SUIMON_SECRET_H

#include <stddef.h>

#include "rc.h"
#include "span.h"

struct secret; /* thread-safe reference count; contents immutable */

struct secret *secret_new(struct span text) must_check; /* copies; NULL: no room */
struct secret *secret_ref(struct secret *s);            /* NULL gives NULL */
void secret_unref(struct secret *s);                    /* NULL is allowed; wipes at the last */
/* Valid while the caller holds a reference; a NUL stands behind its len bytes. NULL gives empty. */
struct span secret_text(const struct secret *s);
/* Whole pages that core dumps leave out, for buffers that secrets pass through; zeroed. NULL: no room. */
void *secret_pages(size_t bytes) must_check;
void secret_pages_free(void *p, size_t bytes); /* NULL is allowed */
void secret_wipe(void *p, size_t len); /* memset that is not optimised away */
/* A variable of the environment; NULL: not set. Its value is moved into such memory when it is first asked for and wiped where it lay:
 * getenv and programs that are started have it as before, only /proc/PID/environ shows it empty. Valid until the variable is set anew. */
const char *secret_env(const char *name);

#endif
