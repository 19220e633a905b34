#include "numbers.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "thread.h"

#define NUMBERS_MOST 4 /* of one statement; further ones stay as they are */

struct numbers {
	struct mail mail;
	struct request *r;   /* waits for us, also when its session is gone */
	struct worker *home; /* the request's */
	size_t at;           /* index of the worker that is asked */
	struct sql_number said[NUMBERS_MOST];
	uint32_t thread[NUMBERS_MOST]; /* the server's; 0: nobody's number, or without a connection */
	size_t n;
};

bool numbers_matter(const char *text)
{
	static const char *const looks[] = {"processlist", "innodb_trx", "metadata_lock_info", ".threads"};
	static const char *const begins[] = {"show explain for", "show analyze for", "explain for connection"};

	for (size_t i = 0; i < countof(looks); i++)
		if (strstr(text, looks[i]))
			return true;
	for (size_t i = 0; i < countof(begins); i++)
		if (strncmp(text, begins[i], strlen(begins[i])) == 0)
			return true;
	return strncmp(text, "show explain ", 13) == 0 || strncmp(text, "show analyze ", 13) == 0;
}

bool numbers_listed(const char *text)
{
	return strcmp(text, "show processlist") == 0 || strcmp(text, "show full processlist") == 0;
}

/* The text with the server's numbers in it, as the request's packet. */
static enum rc put_changed(struct numbers *k, struct iobuf *b)
{
	struct request *r = k->r;
	const char *from = r->sql.p, *end = r->sql.p + r->sql.len;
	uint8_t seq = 0;
	struct iobuf text;
	enum rc rc;

	iobuf_init(&text, 0);
	rc = iobuf_append(&text, iobuf_data(&r->packet) + PACKET_HEADER, r->text_at); /* the command, and its attributes */
	for (size_t i = 0; i < k->n && rc == RC_OK; i++) {
		char number[16];

		if (!k->thread[i])
			continue;
		(void)snprintf(number, sizeof(number), "%u", k->thread[i]);
		rc = iobuf_append(&text, from, (size_t)(k->said[i].at.p - from));
		if (rc == RC_OK)
			rc = iobuf_append(&text, number, strlen(number));
		from = k->said[i].at.p + k->said[i].at.len;
	}
	if (rc == RC_OK)
		rc = iobuf_append(&text, from, (size_t)(end - from));
	if (rc == RC_OK)
		rc = packet_put(b, &seq, iobuf_data(&text), iobuf_len(&text));
	iobuf_reset(&text);
	return rc;
}

static void numbers_end(struct mail *m)
{
	struct numbers *k = container_of(m, struct numbers, mail);
	struct request *r = k->r;
	struct iobuf changed;
	enum rc rc;

	r->killing = false;
	if (r->dead) {
		mem_free(k);
		request_abort(r);
		return;
	}
	iobuf_init(&changed, 0);
	rc = put_changed(k, &changed);
	mem_free(k);
	if (rc == RC_OK) {
		iobuf_reset(&r->packet);
		r->packet = changed;
		command_again(r);
	} else {
		iobuf_reset(&changed);
		session_close(r->s, CLOSE_MEMORY, "a statement's numbers");
	}
}

static void numbers_look(struct mail *m)
{
	struct numbers *k = container_of(m, struct numbers, mail);
	struct instance *in = k->home->in;
	struct worker *w = in->workers[k->at];

	for (size_t i = 0; i < k->n; i++) {
		const struct session *s = session_find(w, k->said[i].number);
		const struct upstream *u = s ? s->up ? s->up : s->park.u : NULL;

		if (u)
			k->thread[i] = u->thread_id;
	}
	if (++k->at < in->nworkers) {
		loop_post(in->workers[k->at]->loop, &k->mail);
		return;
	}
	k->mail.run = numbers_end;
	loop_post(k->home->loop, &k->mail);
}

enum rc numbers_begin(struct request *r)
{
	struct numbers *k;

	if (r->numbers_told)
		return RC_OK;
	k = mem_zalloc(sizeof(*k));
	if (!k) {
		reply_error(r->s, 1041, "HY000", "out of memory");
		r->error = 1041;
		return RC_ERROR;
	}
	k->n = sql_numbers(r->sql, r->mode, SESSION_NUMBERS, UINT64_C(2) * SESSION_NUMBERS - 1, k->said, NUMBERS_MOST);
	if (k->n == 0) {
		mem_free(k);
		return RC_OK;
	}
	k->r = r;
	k->home = r->worker;
	r->numbers_told = r->killing = true;
	k->mail.run = numbers_look;
	loop_post(r->worker->in->workers[0]->loop, &k->mail);
	return RC_AGAIN;
}
