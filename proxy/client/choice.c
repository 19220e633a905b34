#include "choice.h"

#include <string.h>
#include <strings.h>

#include "mem.h"
#include "reports.h"

#define ASSIGN "SESSION " SQL_REPORTS "="

struct choice {
	bool to_default; /* names come on top of what is reported by default */
	size_t len;
	char names[];    /* with commas, as the client wrote them; or * */
};

struct choosing {
	struct iobuf said;     /* the client's own packet, into which the request's text points */
	bool had_before;       /* other assignments stand before it, which servers forget to report */
	struct span behind;    /* in said */
	struct choice *choice; /* NULL: what is reported by default */
};

void choosing_free(struct choosing *c)
{
	if (!c)
		return;
	iobuf_reset(&c->said);
	mem_free(c->choice);
	mem_free(c);
}

void choice_forget(struct session *s)
{
	mem_free(s->choice);
	s->choice = NULL;
}

bool choice_default_has(struct span variable)
{
	static const char *const names[] = {"autocommit", "character_set_client", "character_set_connection", "character_set_results",
					    "time_zone"};

	for (size_t i = 0; i < countof(names); i++)
		if (span_ieq(variable, span_str(names[i])))
			return true;
	return false;
}

bool choice_has(const struct choice *c, struct span variable)
{
	const char *p = c->names, *end = c->names + c->len;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t len = (size_t)((comma ? comma : end) - p);

		if (span_ieq(variable, span_of(p, len)) || *p == '*')
			return true;
		p += len + 1;
	}
	return c->to_default && choice_default_has(variable);
}

enum rc choice_put(const struct choice *c, struct iobuf *sql)
{
	struct span names = c ? span_of(c->names, c->len) : span_of(NULL, 0);

	if (!c)
		return iobuf_printf(sql, ASSIGN "DEFAULT");
	if (c->to_default)
		return iobuf_printf(sql, ASSIGN "CONCAT(@@global." SQL_REPORTS ",'" SPAN_FMT "')", SPAN_ARG(names));
	return iobuf_printf(sql, ASSIGN "'" SPAN_FMT "'", SPAN_ARG(names));
}

bool choosing_reports(const struct choosing *c, struct span variable)
{
	bool of_names = variable.len > 14 && strncasecmp(variable.p, "character_set_", 14) == 0;

	return !c->had_before || span_ieq(variable, span_str(SQL_REPORTS)) || span_iholds(c->behind, variable) ||
	       (of_names && (span_iholds(c->behind, span_str("names")) || span_iholds(c->behind, span_str("char"))));
}

static bool is_default(const struct sql_reports *said)
{
	return said->to_default && !said->names.len;
}

/* MySQL reports nothing any more behind a DEFAULT and another value in one statement: DEFAULT is not sent. */
static enum rc put_changed(const struct request *r, const struct sql_reports *said, struct iobuf *text)
{
	const struct span nothing = span_of(NULL, 0);
	const struct span pieces[] = {span_of(iobuf_data(&r->packet) + PACKET_HEADER, r->text_at), /* the command, and its attributes */
				      is_default(said) ? span_str("SET ") : span_str("SET " ASSIGN),
				      is_default(said) ? nothing : said->value,
				      is_default(said) ? nothing : span_str(","),
				      span_str(ASSIGN "'*'"),
				      said->before.len ? span_str(",") : nothing,
				      said->before,
				      said->behind};
	enum rc rc = RC_OK;

	for (size_t i = 0; i < countof(pieces) && rc == RC_OK; i++)
		rc = iobuf_append(text, pieces[i].p, pieces[i].len);
	return rc;
}

static enum rc keep(struct choosing *c, const struct sql_reports *said)
{
	if (is_default(said))
		return RC_OK;
	c->choice = mem_alloc(sizeof(*c->choice) + said->names.len);
	if (!c->choice)
		return RC_ERROR;
	c->choice->to_default = said->to_default;
	c->choice->len = said->names.len;
	if (said->names.len)
		memcpy(c->choice->names, said->names.p, said->names.len);
	return RC_OK;
}

static enum rc change(struct request *r, const struct sql_reports *said)
{
	struct choosing *c = mem_zalloc(sizeof(*c));
	struct iobuf text, packet;
	uint8_t seq = 0;
	enum rc rc;

	if (!c)
		return RC_ERROR;
	iobuf_init(&text, 0);
	iobuf_init(&packet, 0);
	rc = keep(c, said);
	if (rc == RC_OK)
		rc = put_changed(r, said, &text);
	if (rc == RC_OK)
		rc = packet_put(&packet, &seq, iobuf_data(&text), iobuf_len(&text));
	iobuf_reset(&text);
	if (rc != RC_OK) {
		iobuf_reset(&packet);
		choosing_free(c);
		return rc;
	}
	c->said = r->packet;
	c->had_before = said->before.len != 0;
	c->behind = said->behind;
	r->packet = packet;
	r->choosing = c;
	return RC_OK;
}

/* Connections report all that suimon wants to know, now and for this session. */
static bool is_ours(const struct request *r)
{
	const struct worker *w = r->worker;

	return w->tracked && !r->s->tracks_itself && !atomic_load_explicit(&w->in->own_tracking, memory_order_relaxed);
}

enum rc choice_begin(struct request *r)
{
	struct sql_reports said;

	if (r->choosing || !is_ours(r) || r->stream_left || r->stream_more || r->st->facts.verb != SQL_SET ||
	    sql_set_reports(r->sql, r->mode, &said) != RC_OK)
		return RC_OK;
	if (change(r, &said) == RC_OK)
		return RC_OK;
	reply_error(r->s, 1041, "HY000", "out of memory");
	r->error = 1041;
	return RC_ERROR;
}

void choice_made(struct request *r)
{
	choice_forget(r->s);
	r->s->choice = r->choosing->choice;
	r->choosing->choice = NULL;
}
