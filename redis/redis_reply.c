#include "redis_reply.h"

#include <string.h>

#include "mem.h"

void redis_reply_free(struct redis_reply *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		redis_reply_free(r->element[i]); /* as deep as hiredis's stack of tasks: 8 */
	mem_free(r->element);
	mem_free(r);
}

static void free_object(void *r)
{
	redis_reply_free(r);
}

/* NULL makes the reader give up with "out of memory", and the connection is closed. */
static struct redis_reply *new_object(const redisReadTask *task, size_t extra)
{
	struct redis_reply_budget *b = task->privdata;
	struct redis_reply *r;

	if (extra > b->max - b->used || b->max - b->used - extra < sizeof(*r))
		return NULL;
	r = mem_alloc(sizeof(*r) + extra);
	if (!r)
		return NULL;
	b->used += sizeof(*r) + extra;
	*r = (struct redis_reply){.type = task->type};
	return r;
}

/* Hangs a finished object into its array. */
static void *attach(const redisReadTask *task, struct redis_reply *r)
{
	struct redis_reply *parent;

	if (r && task->parent) {
		parent = task->parent->obj;
		parent->element[task->idx] = r;
	}
	return r;
}

static void *create_string(const redisReadTask *task, char *str, size_t len)
{
	struct redis_reply *r = len < SIZE_MAX ? new_object(task, len + 1) : NULL;

	if (!r)
		return NULL;
	if (len)
		memcpy(r->str, str, len);
	r->str[len] = '\0';
	r->len = len;
	return attach(task, r);
}

static struct redis_reply *new_array(const redisReadTask *task, size_t elements)
{
	struct redis_reply_budget *b = task->privdata;
	size_t bytes = elements * sizeof(struct redis_reply *);
	struct redis_reply *r = bytes <= b->max - b->used ? new_object(task, 0) : NULL;

	if (r)
		b->used = bytes <= b->max - b->used ? b->used + bytes : b->max;
	return r;
}

static void *create_array(const redisReadTask *task, int elements)
{
	struct redis_reply *r;

	if (elements < 0 || elements > REDIS_REPLY_ELEMENTS_MAX)
		return NULL;
	r = new_array(task, (size_t)elements);
	if (!r)
		return NULL;
	if (elements > 0) {
		r->element = mem_zalloc((size_t)elements * sizeof(struct redis_reply *));
		if (!r->element) {
			mem_free(r);
			return NULL;
		}
	}
	r->n = (size_t)elements;
	return attach(task, r);
}

static void *create_integer(const redisReadTask *task, long long value)
{
	struct redis_reply *r = new_object(task, 0);

	if (r)
		r->integer = value;
	return attach(task, r);
}

static void *create_nil(const redisReadTask *task)
{
	struct redis_reply *r = new_object(task, 0);

	if (r)
		r->type = REDIS_REPLY_NIL; /* the task's type is what it is nil of */
	return attach(task, r);
}

redisReplyObjectFunctions redis_reply_functions = {
	.createString = create_string,
	.createArray = create_array,
	.createInteger = create_integer,
	.createNil = create_nil,
	.freeObject = free_object,
};
