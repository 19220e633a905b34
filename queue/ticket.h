/*
 * ticket.h - for engines: tickets in the order of their records, and their answers.
 */
#ifndef SUIMON_TICKET_H
#define SUIMON_TICKET_H

#include "queue.h"

/* Linked through their mails, which are ours until they are posted. */
struct ticket_line {
	struct mail *first;
	struct mail **end;
};

static inline void ticket_line_init(struct ticket_line *line)
{
	line->first = NULL;
	line->end = &line->first;
}

static inline void ticket_push(struct ticket_line *line, struct queue_ticket *t)
{
	t->mail.next = NULL;
	*line->end = &t->mail;
	line->end = &t->mail.next;
}

/* NULL: there is none. */
static inline struct queue_ticket *ticket_pop(struct ticket_line *line)
{
	struct mail *m = line->first;

	if (!m)
		return NULL;
	line->first = m->next;
	if (!line->first)
		line->end = &line->first;
	return container_of(m, struct queue_ticket, mail);
}

/* All of them; `to` need not be initialised. */
static inline void ticket_take(struct ticket_line *from, struct ticket_line *to)
{
	*to = *from;
	if (!to->first)
		to->end = &to->first;
	ticket_line_init(from);
}

/* Posts its answer; without a loop its function runs here. */
static inline void ticket_answer(struct queue_ticket *t, enum rc rc, const char *error)
{
	t->rc = rc;
	t->error = error;
	if (t->loop)
		loop_post(t->loop, &t->mail);
	else
		t->mail.run(&t->mail);
}

#endif
