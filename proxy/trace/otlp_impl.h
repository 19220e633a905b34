/*
 * otlp_impl.h - what the files of this folder share: a span's JSON, and one POST.
 */
#ifndef SUIMON_TRACE_OTLP_IMPL_H
#define SUIMON_TRACE_OTLP_IMPL_H

#include "iobuf.h"
#include "otlp.h"

#define OTLP_SPAN_MAX (16 * 1024) /* bytes of JSON */

/* otlp_json.c: a comma and the span. */
enum rc otlp_put_span(const struct otlp_span *s, struct iobuf *out) must_check;
/* The request's body around spans, each with a comma in front. */
enum rc otlp_put_body(const struct iobuf *spans, struct iobuf *out) must_check;

/* otlp_post.c: sends the spans, waits for the answer. RC_ERROR: why says so. */
enum rc otlp_post(const char *url, const struct iobuf *spans, int timeout_s, char *why, size_t cap) must_check;

#endif
