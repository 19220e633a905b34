/*
 * track.h - knows where a server's reply ends without decoding it.
 *
 * The caller feeds the bytes it has; track_next says of the first run of them whether they pass as they are, or are a
 * control packet (OK, ERR, EOF, ...) that the caller wants to see, whole. Rows and column definitions pass unread.
 * Nothing is buffered here: what track_next does not consume the caller keeps and offers again with more behind it.
 * The EOF between definitions and rows, and those of a prepare reply, pass as bytes: only the packet that ends a result
 * (or the reply) is a control packet. A control packet is never longer than TRACK_CONTROL_MAX: so much the caller must
 * be able to hold.
 */
#ifndef SUIMON_TRACK_H
#define SUIMON_TRACK_H

#include "packet.h"

#define TRACK_CONTROL_MAX (1u << 20) /* with its header; a longer one is TRACK_BROKEN */

enum track_reply {
	TRACK_RESULT,  /* COM_QUERY, COM_STMT_EXECUTE, COM_PROCESS_INFO: OK, ERR, LOCAL INFILE or result sets */
	TRACK_CURSOR,  /* COM_STMT_EXECUTE that asks for a cursor: its rows may stay behind on the server */
	TRACK_SIMPLE,  /* one OK, EOF or ERR packet: ping, init db, reset, set option, stmt reset, ... */
	TRACK_PREPARE, /* COM_STMT_PREPARE */
	TRACK_FIELDS,  /* COM_FIELD_LIST: definitions up to EOF or ERR */
	TRACK_ROWS,    /* COM_STMT_FETCH: rows up to EOF or ERR */
	TRACK_TEXT,    /* COM_STATISTICS: one packet of text (or ERR) */
};

enum track_piece_kind {
	TRACK_NEED,      /* more bytes are needed: nothing consumed */
	TRACK_BYTES,     /* len bytes to pass on unread */
	TRACK_OK_PACKET, /* a whole OK packet (also 0xfe ending a result set under DEPRECATE_EOF) */
	TRACK_EOF_PACKET,
	TRACK_MIDDLE_EOF, /* the EOF behind column definitions, where it announces a session-state report; rows follow */
	TRACK_ERR_PACKET,
	TRACK_INFILE,   /* the server asks for a local file: the client's packets follow, then the reply goes on */
	TRACK_PREPARED, /* the first packet of a prepare reply: statement id, column and parameter counts */
	TRACK_PROGRESS, /* MariaDB's progress report (ERR 0xffff): not the end */
	TRACK_BROKEN,   /* not the protocol: close both sides */
};

struct track_piece {
	enum track_piece_kind kind;
	const uint8_t *p; /* with the packet header, for the control packets */
	size_t len;
	bool starts_columns; /* TRACK_BYTES: these begin with a result set's column-count packet */
};

struct track {
	uint64_t caps; /* negotiated with the server */
	enum track_reply reply;
	int state;             /* track.c */
	uint64_t columns_left; /* definitions still to come */
	uint64_t params_left;  /* prepare reply: parameter definitions still to come, before the columns */
	uint64_t pass_left;    /* bytes of the packet being passed */
	bool continued;        /* the packet being passed goes on in the next one (16 MB) */
	/* What has been learnt of the reply: */
	uint64_t rows;
	uint64_t bytes;
	uint64_t affected;  /* summed over the reply's OK packets */
	uint64_t insert_id; /* of the last OK packet */
	uint16_t status;    /* of the last OK or EOF */
	uint16_t warnings;
	uint16_t error;   /* code of the ERR that ended it, 0 if none */
	uint16_t results; /* result sets and OKs seen */
	uint32_t columns; /* of the last result set */
	bool done;        /* the reply has ended: nothing more belongs to it */
};

void track_begin(struct track *t, enum track_reply reply, uint64_t caps);
/* Looks at the bytes; returns how many of them the piece covers (0 with TRACK_NEED or TRACK_BROKEN). After each piece
 * t->done may have become true. Adjacent passing packets come as one TRACK_BYTES piece. */
size_t track_next(struct track *t, const uint8_t *p, size_t len, struct track_piece *piece);

/* After TRACK_INFILE the client sends packets of the file's bytes, up to an empty one; then the server's reply goes on and
 * track_next is fed again. This knows where the client's part ends. */
struct track_infile {
	uint64_t pass_left; /* bytes of the packet being passed */
	bool continued;     /* a full packet came before: an empty one only closes it */
	bool done;          /* the empty packet has passed */
};

void track_infile_begin(struct track_infile *t);
/* How many of the bytes pass on to the server; 0: a packet's header is not complete yet, or done. */
size_t track_infile_next(struct track_infile *t, const uint8_t *p, size_t len);

#endif
