/*
 * track.c - the reply tracker.
 *
 *   FIRST -> OK | ERR                               (more results: back to FIRST)
 *         -> INFILE -> FIRST
 *         -> column count -> COLUMNS -> COLUMNS_EOF -> ROWS -> EOF | OK | ERR   (more results: back to FIRST)
 *   PREPARED -> PARAMS -> PARAMS_EOF -> DEFINITIONS -> DEFINITIONS_EOF
 *
 * Without EOF packets (CLIENT_DEPRECATE_EOF) the *_EOF states are passed over. A packet is judged once, by its header
 * and first byte (look), without changing anything; then it is either let go (pass) or handed out whole (control).
 */
#include "track.h"

#define COUNT_MAX 10   /* a column-count packet: a length-encoded integer and the metadata flag */
#define EOF_MAX 9      /* a packet beginning 0xfe that is shorter than this is an EOF, not a row */
#define OK_MIN 7       /* an OK packet has at least so many bytes, an EOF never */
#define PREPARED_MIN 9 /* up to the parameter count */
#define PROGRESS_CODE 0xffff
#define COLUMNS_MOST (UINT32_C(1) << 23) /* a select without tables may have more than any table */

enum track_state {
	AT_FIRST,       /* a result begins */
	AT_COLUMNS,     /* column definitions */
	AT_COLUMNS_EOF, /* the EOF behind them */
	AT_ROWS,        /* rows, or a field list's definitions, up to EOF */
	AT_PREPARED,    /* the first packet of a prepare reply */
	AT_PARAMS,      /* a prepared statement's parameter definitions */
	AT_PARAMS_EOF,
	AT_DEFINITIONS, /* a prepared statement's column definitions */
	AT_DEFINITIONS_EOF,
	AT_SIMPLE, /* one OK, EOF or ERR */
	AT_TEXT,   /* one packet of text */
	AT_LAST,   /* the packet that passes is the reply's last */
};

struct packet {
	const uint8_t *p; /* the header's first byte */
	size_t have;      /* bytes of it that are there, header included, and of what follows it */
	uint32_t len;     /* of the payload */
	uint8_t first;    /* of the payload */
};

static struct span payload(const struct packet *k)
{
	return span_of(k->p + PACKET_HEADER, k->len);
}

static bool whole(const struct packet *k)
{
	return k->have >= (size_t)PACKET_HEADER + k->len;
}

/* kind if the packet is there as a whole, else the word that asks for the rest of it or refuses it. */
static enum track_piece_kind whole_or(const struct packet *k, uint32_t max, enum track_piece_kind kind)
{
	if (k->len > max)
		return TRACK_BROKEN;
	return whole(k) ? kind : TRACK_NEED;
}

static enum track_piece_kind control_or(const struct packet *k, enum track_piece_kind kind)
{
	return whole_or(k, TRACK_CONTROL_MAX - PACKET_HEADER, kind);
}

static enum track_piece_kind look_error(const struct track *t, const struct packet *k)
{
	enum track_piece_kind kind = control_or(k, TRACK_ERR_PACKET);

	if (kind == TRACK_ERR_PACKET && (t->caps & MARIADB_CLIENT_PROGRESS) && k->len >= 3 &&
	    (k->p[PACKET_HEADER + 1] | k->p[PACKET_HEADER + 2] << 8) == PROGRESS_CODE)
		return TRACK_PROGRESS;
	return kind;
}

/* What ends rows, or answers a simple command, beginning 0xfe. */
static enum track_piece_kind look_end(const struct track *t, const struct packet *k)
{
	if (t->caps & CLIENT_DEPRECATE_EOF && k->len >= OK_MIN)
		return control_or(k, TRACK_OK_PACKET);
	return whole_or(k, EOF_MAX - 1, TRACK_EOF_PACKET);
}

/* A row may begin with 0xfe only if its first value has 16 MB or more: then its packet is a full one. */
static enum track_piece_kind look_row(const struct track *t, const struct packet *k)
{
	bool end = k->len < (t->caps & CLIENT_DEPRECATE_EOF ? PACKET_MAX_PAYLOAD : EOF_MAX);

	return k->first == 0xfe && end ? look_end(t, k) : TRACK_BYTES;
}

/* The EOF behind definitions passes, unless it says that the rows wait in a cursor: then the result ends here. Where the
 * client asked for none, that flag tells of one inside a stored routine, and the rows follow. */
static enum track_piece_kind look_middle_eof(const struct track *t, const struct packet *k)
{
	enum track_piece_kind kind = whole_or(k, EOF_MAX - 1, TRACK_BYTES);
	uint16_t warnings, status;

	if (k->first != 0xfe)
		return TRACK_BROKEN;
	if (kind != TRACK_BYTES)
		return kind;
	if (packet_parse_eof(payload(k), &warnings, &status) != RC_OK)
		return TRACK_BROKEN;
	if (t->state != AT_COLUMNS_EOF)
		return TRACK_BYTES;
	if (t->reply == TRACK_CURSOR && status & STATUS_CURSOR_EXISTS)
		return TRACK_EOF_PACKET;
	return status & STATUS_SESSION_STATE_CHANGED ? TRACK_MIDDLE_EOF : TRACK_BYTES;
}

static enum track_piece_kind look_first(const struct track *t, const struct packet *k)
{
	switch (k->first) {
	case 0x00:
		return control_or(k, TRACK_OK_PACKET);
	case 0xfb:
		return t->caps & CLIENT_LOCAL_FILES ? control_or(k, TRACK_INFILE) : TRACK_BROKEN;
	case 0xfe:
		return TRACK_BROKEN;
	default:
		return whole_or(k, COUNT_MAX, TRACK_BYTES);
	}
}

static enum track_piece_kind look_simple(const struct track *t, const struct packet *k)
{
	if (k->first == 0x00)
		return control_or(k, TRACK_OK_PACKET);
	return k->first == 0xfe ? look_end(t, k) : TRACK_BROKEN;
}

/* TRACK_BYTES for a packet that passes, whatever of it is there; a control packet's kind when it is there whole. */
static enum track_piece_kind look(const struct track *t, const struct packet *k)
{
	if (unlikely(k->first == 0xff))
		return look_error(t, k);
	switch ((enum track_state)t->state) {
	case AT_ROWS:
		return look_row(t, k);
	case AT_FIRST:
		return look_first(t, k);
	case AT_COLUMNS_EOF:
	case AT_PARAMS_EOF:
	case AT_DEFINITIONS_EOF:
		return look_middle_eof(t, k);
	case AT_PREPARED:
		return k->first == 0x00 && k->len >= PREPARED_MIN ? control_or(k, TRACK_PREPARED) : TRACK_BROKEN;
	case AT_SIMPLE:
		return look_simple(t, k);
	case AT_COLUMNS:
	case AT_PARAMS:
	case AT_DEFINITIONS:
	case AT_TEXT:
		return TRACK_BYTES;
	case AT_LAST:
		break;
	}
	return TRACK_BROKEN;
}

static int prepare_step(const struct track *t)
{
	if (t->params_left)
		return AT_PARAMS;
	return t->columns_left ? AT_DEFINITIONS : AT_LAST;
}

static bool pass_count(struct track *t, const struct packet *k)
{
	struct mbuf m = mbuf_of(k->p + PACKET_HEADER, k->len);
	uint64_t count;
	uint8_t follows = 1;

	if (packet_get_lenenc(&m, &count) != RC_OK || count == 0 || count > COLUMNS_MOST)
		return false;
	/* MySQL's documentation has the flag before the count; both servers send it behind. */
	if ((t->caps & (CLIENT_OPTIONAL_RESULTSET_METADATA | MARIADB_CLIENT_CACHE_METADATA)) && mbuf_left(&m) &&
	    mbuf_u8(&m, &follows) != RC_OK)
		return false;
	if (mbuf_left(&m))
		return false;
	t->columns = (uint32_t)count;
	t->columns_left = follows ? count : 0;
	t->results++;
	if (follows)
		t->state = AT_COLUMNS;
	else
		t->state = t->caps & CLIENT_DEPRECATE_EOF ? AT_ROWS : AT_COLUMNS_EOF;
	return true;
}

static void pass_definition(struct track *t, uint64_t *left, int eof_state, int next)
{
	if (--*left == 0)
		t->state = t->caps & CLIENT_DEPRECATE_EOF ? next : eof_state;
}

/* Moves the state past a packet that is let go. False: it is not what it must be. */
static bool pass(struct track *t, const struct packet *k)
{
	switch ((enum track_state)t->state) {
	case AT_ROWS:
		if (t->reply == TRACK_FIELDS)
			t->columns++;
		else
			t->rows++;
		break;
	case AT_FIRST:
		return pass_count(t, k);
	case AT_COLUMNS:
		pass_definition(t, &t->columns_left, AT_COLUMNS_EOF, AT_ROWS);
		break;
	case AT_COLUMNS_EOF:
		t->state = AT_ROWS;
		break;
	case AT_PARAMS:
		pass_definition(t, &t->params_left, AT_PARAMS_EOF, t->columns_left ? AT_DEFINITIONS : AT_LAST);
		break;
	case AT_DEFINITIONS:
		pass_definition(t, &t->columns_left, AT_DEFINITIONS_EOF, AT_LAST);
		break;
	case AT_PARAMS_EOF:
		t->state = prepare_step(t);
		break;
	case AT_DEFINITIONS_EOF:
	case AT_TEXT:
		t->state = AT_LAST;
		break;
	case AT_PREPARED:
	case AT_SIMPLE:
	case AT_LAST:
		return false;
	}
	return true;
}

static void end_result(struct track *t, uint16_t status, uint16_t warnings)
{
	t->status = status;
	t->warnings = warnings;
	if (t->reply <= TRACK_CURSOR && status & STATUS_MORE_RESULTS)
		t->state = AT_FIRST;
	else
		t->done = true;
}

static bool control_ok(struct track *t, const struct packet *k)
{
	struct ok_packet ok;

	if (packet_parse_ok(payload(k), t->caps, &ok) != RC_OK)
		return false;
	if (ok.header == 0x00) {
		t->affected += ok.affected;
		t->insert_id = ok.insert_id;
		t->results++;
	}
	end_result(t, ok.status, ok.warnings);
	return true;
}

static bool control_eof(struct track *t, const struct packet *k)
{
	uint16_t warnings, status;

	if (packet_parse_eof(payload(k), &warnings, &status) != RC_OK)
		return false;
	end_result(t, status, warnings);
	return true;
}

static bool control_err(struct track *t, const struct packet *k)
{
	struct err_packet err;

	if (packet_parse_err(payload(k), &err) != RC_OK)
		return false;
	t->error = err.code;
	t->done = true;
	return true;
}

static bool control_prepared(struct track *t, const struct packet *k)
{
	struct mbuf m = mbuf_of(k->p + PACKET_HEADER, k->len);
	uint16_t columns, params;
	uint8_t follows = 1;

	if (mbuf_skip(&m, 5) != RC_OK || mbuf_u16(&m, &columns) != RC_OK || mbuf_u16(&m, &params) != RC_OK)
		return false;
	if ((t->caps & CLIENT_OPTIONAL_RESULTSET_METADATA) && mbuf_left(&m) > 3 &&
	    (mbuf_skip(&m, 3) != RC_OK || mbuf_u8(&m, &follows) != RC_OK))
		return false;
	t->columns = columns;
	t->columns_left = follows ? columns : 0;
	t->params_left = follows ? params : 0;
	t->state = prepare_step(t);
	t->done = t->state == AT_LAST;
	return true;
}

/* Reads a control packet that is handed out. False: it is malformed. */
static bool control(struct track *t, const struct packet *k, enum track_piece_kind kind)
{
	switch (kind) {
	case TRACK_OK_PACKET:
		return control_ok(t, k);
	case TRACK_EOF_PACKET:
		return control_eof(t, k);
	case TRACK_ERR_PACKET:
		return control_err(t, k);
	case TRACK_PREPARED:
		return control_prepared(t, k);
	case TRACK_MIDDLE_EOF:
		t->state = AT_ROWS;
		return true;
	default: /* TRACK_INFILE, TRACK_PROGRESS: the reply goes on in the state it is in */
		return true;
	}
}

/* The packet that begins at p. TRACK_BYTES: it may be judged; a packet's first byte is needed for that, but none of a
 * continuation's. */
static enum track_piece_kind head(const struct track *t, const uint8_t *p, size_t len, struct packet *k)
{
	if (len < PACKET_HEADER)
		return TRACK_NEED;
	k->p = p;
	k->have = len;
	k->len = packet_len(p);
	if (t->continued)
		return TRACK_BYTES;
	if (k->len == 0)
		return TRACK_BROKEN;
	if (len == PACKET_HEADER)
		return TRACK_NEED;
	k->first = p[PACKET_HEADER];
	return TRACK_BYTES;
}

/* Lets go of what is there of the packet being passed; returns how much. */
static size_t drain(struct track *t, size_t len)
{
	size_t n = t->pass_left < len ? (size_t)t->pass_left : len;

	t->pass_left -= n;
	if (t->pass_left == 0 && !t->continued && t->state == AT_LAST)
		t->done = true;
	return n;
}

void track_begin(struct track *t, enum track_reply reply, uint64_t caps)
{
	static const int first[] = {
		[TRACK_RESULT] = AT_FIRST,     [TRACK_CURSOR] = AT_FIRST, [TRACK_SIMPLE] = AT_SIMPLE,
		[TRACK_PREPARE] = AT_PREPARED, [TRACK_FIELDS] = AT_ROWS,  [TRACK_ROWS] = AT_ROWS,
		[TRACK_TEXT] = AT_TEXT,
	};

	*t = (struct track){.caps = caps, .reply = reply, .state = first[reply]};
}

/* Walks over all that passes; returns its length. *kind is what stopped the walk, at the packet *k (TRACK_BYTES: the
 * end of the reply). */
static size_t walk(struct track *t, const uint8_t *p, size_t len, struct packet *k, enum track_piece_kind *kind)
{
	size_t at = drain(t, len);

	while (!t->done && t->pass_left == 0) {
		*kind = head(t, p + at, len - at, k);
		if (*kind == TRACK_BYTES && !t->continued) {
			*kind = look(t, k);
			if (*kind == TRACK_BYTES && !pass(t, k))
				*kind = TRACK_BROKEN;
		}
		if (*kind != TRACK_BYTES)
			break;
		t->pass_left = (uint64_t)PACKET_HEADER + k->len;
		t->continued = k->len == PACKET_MAX_PAYLOAD;
		at += drain(t, len - at);
	}
	return at;
}

size_t track_next(struct track *t, const uint8_t *p, size_t len, struct track_piece *piece)
{
	bool at_first = t->state == AT_FIRST && t->pass_left == 0;
	enum track_piece_kind kind = TRACK_NEED;
	struct packet k = {.p = p};
	size_t n;

	*piece = (struct track_piece){.kind = TRACK_NEED, .p = p};
	n = len ? walk(t, p, len, &k, &kind) : 0;
	if (n) {
		piece->kind = TRACK_BYTES;
		piece->starts_columns = at_first;
	} else if (kind == TRACK_NEED || kind == TRACK_BROKEN || !control(t, &k, kind)) {
		piece->kind = kind == TRACK_NEED ? TRACK_NEED : TRACK_BROKEN;
		return 0;
	} else {
		n = (size_t)PACKET_HEADER + k.len;
		piece->kind = kind;
	}
	piece->len = n;
	t->bytes += n;
	return n;
}

void track_infile_begin(struct track_infile *t)
{
	*t = (struct track_infile){0};
}

size_t track_infile_next(struct track_infile *t, const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (!t->done && at < len) {
		size_t n;

		if (t->pass_left == 0) {
			uint32_t payload_len;

			if (len - at < PACKET_HEADER)
				break;
			payload_len = packet_len(p + at);
			t->pass_left = (uint64_t)PACKET_HEADER + payload_len;
			t->done = payload_len == 0 && !t->continued;
			t->continued = payload_len == PACKET_MAX_PAYLOAD;
		}
		n = t->pass_left < len - at ? (size_t)t->pass_left : len - at;
		t->pass_left -= n;
		at += n;
	}
	return at;
}
