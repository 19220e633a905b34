/*
 * settings_tls.c - the files that the sections `tls` name, read once: a fault is found by `suimon check` and by a reload,
 * before anything is changed.
 */
#include <string.h>

#include "settings_rows.h"

static const char *const part_words[] = {
	[TLS_CERT] = "a certificate in PEM, the server's own first",
	[TLS_KEY] = "the certificate's private key in PEM, without a passphrase",
	[TLS_CA] = "certificates in PEM",
};

static void say(struct conf_ctx *c, const char *path, const char *file, const struct tls_fault *f)
{
	conf_fault_at(c, path, "%s: %s, allowed is a file with %s", file, f->text, part_words[f->part]);
}

static void load_listen(struct conf_ctx *c, struct settings *s)
{
	const char *const files[] = {
		[TLS_CERT] = s->listen.tls.cert, [TLS_KEY] = s->listen.tls.key, [TLS_CA] = s->listen.tls.ca};
	static const char *const paths[] = {
		[TLS_CERT] = "listen.tls.cert", [TLS_KEY] = "listen.tls.key", [TLS_CA] = "listen.tls.ca"};
	struct tls_fault fault;

	if (!*s->listen.tls.cert || !*s->listen.tls.key)
		return; /* settings_check has said it */
	s->listen.tls_context = tls_server_new(s->listen.tls.cert, s->listen.tls.key, s->listen.tls.ca, &fault);
	if (!s->listen.tls_context)
		say(c, paths[fault.part], files[fault.part], &fault);
}

static void load_backend(struct conf_ctx *c, struct settings *s)
{
	struct tls_fault fault;

	if (strlen(s->backend.tls.ca) >= sizeof(((struct tls_policy *)0)->ca))
		conf_fault_at(c, "backend.tls.ca", "too long a path, allowed are %zu bytes",
			      sizeof(((struct tls_policy *)0)->ca) - 1);
	if (s->backend.tls.mode == TLS_DISABLED)
		return;
	s->backend.tls_context = tls_client_new((enum tls_mode)s->backend.tls.mode, s->backend.tls.ca, &fault);
	if (!s->backend.tls_context)
		say(c, "backend.tls.ca", s->backend.tls.ca, &fault);
}

void settings_tls_load(struct conf_ctx *c, struct settings *s)
{
	load_listen(c, s);
	load_backend(c, s);
}
