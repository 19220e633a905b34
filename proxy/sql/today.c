#include "today.h"

#include "norm.h"
#include "parse.h"

/* Kinds of a piece's values, beside those that have names outside. */
#define TIME SQL_KIND_TIME
#define DATE SQL_KIND_DATE
#define EITHER 0x04      /* STR_TO_DATE: by its format */
#define EITHERS 0x08     /* two of these */
#define PLACEHOLDER 0x10
#define PLACEHOLDERS 0x20
#define KEPT 0x40         /* of a cast: what its argument is */

enum clause { ITEMS, CONDITIONS, ALIASED }; /* ALIASED: the items' aliases are names here */

struct walk {
	struct sql_parser p;
	sql_kinds_fn kinds_of;
	void *arg;
	struct sql_today *out;
	bool body;        /* a routine's or a column's text: types may stand in it */
	bool whole;
	enum clause clause;
	unsigned items;   /* kinds in all items of the SELECT */
	unsigned cases;   /* CASE without its END */
	unsigned between; /* BETWEEN without its AND */
	bool named, bare; /* the piece holds a name; and it is all there is */
};

static unsigned join(unsigned a, unsigned b)
{
	unsigned k = a | b;

	if (a & b & EITHER)
		k |= EITHERS;
	if (a & b & PLACEHOLDER)
		k |= PLACEHOLDERS;
	return k;
}

static void judge(struct walk *w, unsigned k)
{
	if ((k & TIME && k & DATE) || (k & EITHER && k & (TIME | DATE)) || k & EITHERS)
		w->out->always = true;
	if (!(k & PLACEHOLDER))
		return;
	w->out->with_date |= (k & (TIME | EITHER)) != 0;
	w->out->with_time |= (k & (DATE | EITHER)) != 0;
	w->out->with_both |= (k & PLACEHOLDERS) != 0;
}

/* ---- functions ---- */

/* What a function makes of its arguments. Of one that is not here its arguments' kinds are taken to be its own. */
struct made { unsigned takes, gives; bool known; };

static struct made made_by(enum sql_word w)
{
	switch (w) {
	case SQL_W_TIME:
	case SQL_W_TIMEDIFF:
	case SQL_W_SEC_TO_TIME:
	case SQL_W_MAKETIME:
		return (struct made){0, TIME, true};
	case SQL_W_STR_TO_DATE:
		return (struct made){0, EITHER, true};
	case SQL_W_DATE:
	case SQL_W_TIMESTAMP:
	case SQL_W_DATE_ADD:
	case SQL_W_DATE_SUB:
	case SQL_W_ADDDATE:
	case SQL_W_SUBDATE:
	case SQL_W_TIMESTAMPADD:
	case SQL_W_ADD_MONTHS:
	case SQL_W_CONVERT_TZ:
	case SQL_W_FROM_DAYS:
	case SQL_W_FROM_UNIXTIME:
	case SQL_W_LAST_DAY:
	case SQL_W_MAKEDATE:
		return (struct made){DATE, DATE, true};
	case SQL_W_DATE_FORMAT:
	case SQL_W_DATEDIFF:
	case SQL_W_DAY:
	case SQL_W_DAYNAME:
	case SQL_W_DAYOFMONTH:
	case SQL_W_DAYOFWEEK:
	case SQL_W_DAYOFYEAR:
	case SQL_W_EXTRACT:
	case SQL_W_MONTH:
	case SQL_W_MONTHNAME:
	case SQL_W_QUARTER:
	case SQL_W_TIMESTAMPDIFF:
	case SQL_W_TO_CHAR:
	case SQL_W_TO_DAYS:
	case SQL_W_TO_SECONDS:
	case SQL_W_UNIX_TIMESTAMP:
	case SQL_W_WEEK:
	case SQL_W_WEEKDAY:
	case SQL_W_WEEKOFYEAR:
	case SQL_W_YEAR:
	case SQL_W_YEARWEEK:
		return (struct made){DATE, 0, true};
	case SQL_W_COUNT:
	case SQL_W_CONCAT:
	case SQL_W_CONCAT_WS:
	case SQL_W_GROUP_CONCAT:
	case SQL_W_HOUR:
	case SQL_W_MINUTE:
	case SQL_W_SECOND:
	case SQL_W_MICROSECOND:
	case SQL_W_TIME_FORMAT:
	case SQL_W_TIME_TO_SEC:
		return (struct made){0, 0, true};
	default:
		return (struct made){0};
	}
}

static unsigned kind_of_type(const struct walk *w)
{
	const struct sql_token *t = &w->p.t;

	if (t->kind != SQL_T_WORD)
		return 0;
	if (t->word == SQL_W_TIME)
		return TIME;
	return t->word == SQL_W_DATE || t->word == SQL_W_TIMESTAMP || span_ieq(t->text, span_str("datetime")) ? DATE : 0;
}

/* What a cast's target makes of a TIME: of a YEAR, too, MySQL takes today's. JSON keeps it as it is, for another cast to find. */
static unsigned kind_of_target(const struct walk *w)
{
	if (sql_is(&w->p, SQL_W_YEAR))
		return DATE;
	return sql_is(&w->p, SQL_W_JSON) ? KEPT : kind_of_type(w);
}

static unsigned element(struct walk *w);

/* From "(" to behind its ")": what is in it. target: of CAST and its kin, the kind behind AS or the comma. */
static unsigned parens(struct walk *w, unsigned *target)
{
	unsigned k = 0, cases = w->cases, between = w->between;

	if (!sql_deeper(&w->p))
		return 0;
	sql_advance(&w->p);
	while (!sql_is_op(&w->p, ')') && w->p.t.kind != SQL_T_END && !w->p.why) {
		bool typed = target && (sql_is(&w->p, SQL_W_AS) || sql_is_op(&w->p, ','));

		k = join(k, element(w));
		if (typed && kind_of_target(w)) {
			*target = kind_of_target(w);
			sql_advance(&w->p);
		}
	}
	sql_advance(&w->p);
	w->p.depth--;
	w->cases = cases;
	w->between = between;
	return k;
}

static unsigned cast(struct walk *w)
{
	unsigned target = 0, k = parens(w, &target);

	judge(w, target == DATE ? join(k, DATE) : k);
	return target == KEPT ? k : target;
}

/* At "(", behind the function's name. */
static unsigned call(struct walk *w, enum sql_word word, struct span name)
{
	struct made m = made_by(word);
	unsigned k;

	if (word == SQL_W_CAST || word == SQL_W_CONVERT || word == SQL_W_COLUMN_GET)
		return cast(w);
	k = parens(w, NULL);
	if (!m.known)
		return word == SQL_WORD_NONE || !sql_word_is(word, SQL_WT_RESERVED) ? join(k, w->kinds_of(w->arg, name, true)) : k;
	judge(w, join(k, m.takes));
	return m.gives;
}

/* ---- names and words ---- */

/* Behind a dot any word is a name, and means nothing else. */
static bool qualified(const struct sql_parser *p)
{
	return p->last.len == 1 && *p->last.p == '.';
}

static bool is_word(const struct sql_parser *p, enum sql_word w)
{
	return sql_is(p, w) && !qualified(p);
}

/* Of IN (1), (2) the digest has the first list alone: what follows the last may as well follow the first. */
static unsigned further_lists(struct walk *w, unsigned k)
{
	while (sql_is_op(&w->p, ',') && sql_peek_op(&w->p, '(')) {
		sql_advance(&w->p);
		k = join(k, parens(w, NULL));
	}
	return k;
}

static unsigned name_or_call(struct walk *w, bool reserved)
{
	struct sql_token t = w->p.t;
	enum sql_word word = t.kind == SQL_T_WORD && !qualified(&w->p) ? t.word : SQL_WORD_NONE;

	sql_advance(&w->p);
	if (sql_is_op(&w->p, '(')) {
		unsigned k = call(w, word, t.text);

		w->bare = false;
		return t.word == SQL_W_IN || t.word == SQL_W_VALUES || t.word == SQL_W_VALUE ? further_lists(w, k) : k;
	}
	if (sql_is_op(&w->p, '.') || reserved)
		return 0;
	w->named = true;
	return w->kinds_of(w->arg, t.text, false);
}

/* AS name: what is called so here is no column of that name. */
static unsigned alias(struct walk *w)
{
	sql_advance(&w->p);
	if (w->p.t.kind == SQL_T_WORD || w->p.t.kind == SQL_T_QUOTED)
		sql_advance(&w->p);
	return 0;
}

/* LIMIT 1, 2 and LIMIT 1 OFFSET 2 have the digest of LIMIT 1. They are numbers of rows: nothing meets them. */
static void limit(struct walk *w)
{
	struct sql_token next;

	sql_advance(&w->p);
	if (!sql_token_is_literal(&w->p.t))
		return;
	sql_advance(&w->p);
	next = sql_peek(&w->p);
	if ((!sql_is_op(&w->p, ',') && !sql_is(&w->p, SQL_W_OFFSET)) || !sql_token_is_literal(&next))
		return;
	sql_advance(&w->p);
	sql_advance(&w->p);
}

/* Of the word itself, not of what it names. */
static unsigned kind_of_word(struct walk *w)
{
	switch (w->p.t.word) {
	case SQL_W_INTERVAL: /* MySQL: a TIME and a number of days is a DATETIME */
		return DATE;
	case SQL_W_YEAR:
		return w->body ? DATE : 0; /* MySQL: a variable of this type takes it of today from a TIME */
	case SQL_W_NATURAL:
	case SQL_W_TABLE:
		return w->kinds_of(w->arg, span_of(NULL, 0), false);
	default:
		return kind_of_type(w);
	}
}

static unsigned word(struct walk *w)
{
	enum sql_word word = w->p.t.word;
	unsigned k;

	if (qualified(&w->p))
		return name_or_call(w, false);
	if (word == SQL_W_AS && w->p.depth == 0)
		return alias(w);
	if (word == SQL_W_LIMIT) {
		limit(w);
		return 0;
	}
	k = kind_of_word(w);
	if (word == SQL_W_CASE)
		w->cases++;
	else if (word == SQL_W_END && w->cases)
		w->cases--;
	if (word == SQL_W_BETWEEN)
		w->between++;
	if (k || sql_word_is(word, SQL_WT_RESERVED))
		w->bare &= word == SQL_W_ASC || word == SQL_W_DESC || word == SQL_W_BY;
	if (k && (!made_by(word).known || word == SQL_W_YEAR || !sql_peek_op(&w->p, '('))) /* DATETIME(6) is no call */
		return join(k, name_or_call(w, false));
	return name_or_call(w, sql_word_is(word, SQL_WT_RESERVED));
}

/* {t '10:00:00'}, {d '..'}, {ts '..'} */
static unsigned odbc(struct walk *w)
{
	unsigned k;

	sql_advance(&w->p);
	k = sql_is(&w->p, SQL_W_T) ? TIME : sql_is(&w->p, SQL_W_D) || sql_is(&w->p, SQL_W_TS) ? DATE : 0;
	if (k)
		sql_advance(&w->p);
	return k;
}

/* One name, call, or other token: at least one is read. */
static unsigned element(struct walk *w)
{
	unsigned k = 0;

	if (sql_token_is_literal(&w->p.t) && !qualified(&w->p)) {
		k = w->p.t.kind == SQL_T_PARAM ? PLACEHOLDER : 0;
		sql_advance(&w->p);
		return k;
	}
	switch (w->p.t.kind) {
	case SQL_T_WORD:
		return word(w);
	case SQL_T_QUOTED:
		return name_or_call(w, false);
	case SQL_T_OP:
		if (sql_is_op(&w->p, '('))
			return w->bare = false, parens(w, NULL);
		if (sql_is_op(&w->p, '{'))
			return odbc(w);
		if (sql_is_op(&w->p, '*') && w->whole && !(w->p.last.len == 1 && *w->p.last.p == '('))
			k = w->kinds_of(w->arg, span_of(NULL, 0), false);
		w->bare &= sql_is_op(&w->p, '.');
		break;
	default:
		w->bare = false;
	}
	sql_advance(&w->p);
	return k;
}

/* ---- pieces ---- */

static void end_piece(struct walk *w, unsigned *k)
{
	judge(w, *k);
	if (w->clause == ITEMS)
		w->items |= *k & (TIME | DATE | EITHER);
	else if (w->clause == ALIASED && w->named && !w->bare)
		judge(w, join(*k, w->items));
	*k = 0;
	w->named = false;
	w->bare = true;
}

/* Does this token lie between two pieces? */
static bool divides(struct walk *w)
{
	if (w->whole || w->cases)
		return false;
	if (sql_is_op(&w->p, ','))
		return true;
	if (!is_word(&w->p, SQL_W_AND) && !sql_is_op(&w->p, SQL_OP_ANDAND))
		return false;
	if (w->between && is_word(&w->p, SQL_W_AND)) {
		w->between--;
		return false;
	}
	return true;
}

static bool begins_clause(const struct walk *w, enum clause *which)
{
	if (w->whole || w->p.t.kind != SQL_T_WORD || qualified(&w->p))
		return false;
	switch (w->p.t.word) {
	case SQL_W_FROM:
	case SQL_W_ON:
	case SQL_W_WHERE:
		*which = CONDITIONS;
		return true;
	case SQL_W_GROUP:
		if (sql_peek_op(&w->p, '(')) /* WITHIN GROUP (..) is of a function */
			return false;
		*which = ALIASED;
		return true;
	case SQL_W_HAVING:
	case SQL_W_ORDER:
	case SQL_W_LIMIT:
		*which = ALIASED;
		return true;
	default:
		return false;
	}
}

static void pieces(struct walk *w, unsigned k)
{
	enum clause next;

	w->bare = true;
	while (w->p.t.kind != SQL_T_END && !w->p.why) {
		if (divides(w)) {
			end_piece(w, &k);
			sql_advance(&w->p);
		} else if (begins_clause(w, &next)) {
			end_piece(w, &k);
			w->clause = next;
			if (sql_is(&w->p, SQL_W_LIMIT))
				limit(w);
			else
				sql_advance(&w->p);
		} else {
			k = join(k, element(w));
		}
	}
	end_piece(w, &k);
}

/* Names may be given anew on the way, or columns meet that nobody names; or an END is a column, and no CASE's. */
static bool is_whole(struct span text, unsigned mode)
{
	struct sql_parser p;
	unsigned selects = 0, cases = 0, ends = 0;

	for (sql_parser_init(&p, text, mode, false); p.t.kind != SQL_T_END && !p.why; sql_advance(&p)) {
		if (p.t.kind != SQL_T_WORD || qualified(&p))
			continue;
		switch (p.t.word) {
		case SQL_W_SELECT:
			selects++;
			break;
		case SQL_W_CASE:
			cases++;
			break;
		case SQL_W_END:
			ends++;
			break;
		case SQL_W_UNION:
		case SQL_W_INTERSECT:
		case SQL_W_EXCEPT:
		case SQL_W_MINUS:
		case SQL_W_WITH:
		case SQL_W_VALUES:
		case SQL_W_TABLE:
		case SQL_W_NATURAL:
		case SQL_W_JSON_TABLE:
			return true;
		default:
			break;
		}
	}
	return selects != 1 || cases != ends;
}

void sql_today(struct span text, unsigned mode, bool whole, unsigned besides, sql_kinds_fn kinds_of, void *arg, struct sql_today *out)
{
	struct walk w = {.kinds_of = kinds_of, .arg = arg, .out = out, .body = whole,
			 .whole = whole || is_whole(text, mode)};

	*out = (struct sql_today){0};
	sql_parser_init(&w.p, text, mode, false);
	pieces(&w, besides);
	out->always |= w.p.why != NULL || sql_depends_on_server(text, mode);
}
