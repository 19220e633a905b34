/*
 * list.h - an intrusive doubly linked list that counts. A node is on at most one list at a time.
 */
#ifndef SUIMON_LIST_H
#define SUIMON_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "rc.h"

struct list_node {
	struct list_node *next; /* NULL while on no list */
	struct list_node *prev;
};

struct list {
	struct list_node head;
	size_t count;
};

static inline void list_init(struct list *l)
{
	l->head.next = l->head.prev = &l->head;
	l->count = 0;
}

static inline bool list_linked(const struct list_node *n)
{
	return n->next != NULL;
}

static inline bool list_empty(const struct list *l)
{
	return l->count == 0;
}

static inline void list_insert_after(struct list *l, struct list_node *at, struct list_node *n)
{
	assert(!list_linked(n));
	n->prev = at;
	n->next = at->next;
	at->next->prev = n;
	at->next = n;
	l->count++;
}

static inline void list_push_front(struct list *l, struct list_node *n)
{
	list_insert_after(l, &l->head, n);
}

static inline void list_push_back(struct list *l, struct list_node *n)
{
	list_insert_after(l, l->head.prev, n);
}

static inline void list_remove(struct list *l, struct list_node *n)
{
	assert(list_linked(n) && l->count > 0);
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
	l->count--;
}

static inline struct list_node *list_first(const struct list *l)
{
	return l->count ? l->head.next : NULL;
}

static inline struct list_node *list_last(const struct list *l)
{
	return l->count ? l->head.prev : NULL;
}

static inline struct list_node *list_next(const struct list *l, const struct list_node *n)
{
	return n->next == &l->head ? NULL : n->next;
}

static inline struct list_node *list_prev(const struct list *l, const struct list_node *n)
{
	return n->prev == &l->head ? NULL : n->prev;
}

static inline struct list_node *list_pop_front(struct list *l)
{
	struct list_node *n = list_first(l);

	if (n)
		list_remove(l, n);
	return n;
}

/* n may be removed from l inside the loop's body; no other node may. */
#define list_each_safe(l, n, tmp)                                                                                      \
	for (struct list_node *n = list_first(l), *tmp = n ? list_next(l, n) : NULL; n;                                \
	     n = tmp, tmp = n ? list_next(l, n) : NULL)
#define list_each(l, n) for (struct list_node *n = list_first(l); n; n = list_next(l, n))

#endif
