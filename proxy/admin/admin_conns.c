/*
 * A connection is known by its descriptor and the inode of its socket, which no other open socket shares: whether it is
 * still open can be asked at any time, and nobody has to tell when it is closed.
 */
#include "admin_conns.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <event2/bufferevent.h>

#include "log.h"
#include "mem.h"

struct conn {
	int fd;
	ino_t inode;
	uint64_t since; /* counts connections: the smallest is the oldest */
};

struct conns {
	struct loop *loop;
	uint64_t count;
	size_t most, n;
	struct conn at[]; /* n of most */
};

/* evhttp gives the bufferevent its descriptor only after it was made: looked at in the loop's next turn. */
struct arrival {
	struct mail mail;
	struct conns *conns;
	struct bufferevent *bev; /* a reference */
};

struct conns *conns_new(struct loop *loop, size_t most)
{
	struct conns *c = mem_zalloc(sizeof(*c) + most * sizeof(c->at[0]));

	if (c) {
		c->loop = loop;
		c->most = most;
	}
	return c;
}

void conns_free(struct conns *c)
{
	mem_free(c);
}

static bool inode_of(int fd, ino_t *inode)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	*inode = st.st_ino;
	return true;
}

static void forget_closed(struct conns *c)
{
	size_t kept = 0;
	ino_t inode;

	for (size_t i = 0; i < c->n; i++)
		if (inode_of(c->at[i].fd, &inode) && inode == c->at[i].inode)
			c->at[kept++] = c->at[i];
	c->n = kept;
}

/* Shut down, not closed: evhttp reads the end and frees what it has of it. */
static void close_oldest(struct conns *c)
{
	size_t oldest = 0;

	for (size_t i = 1; i < c->n; i++)
		if (c->at[i].since < c->at[oldest].since)
			oldest = i;
	log_warn("admin", "too many HTTP connections: the oldest is closed", "most=%zu", c->most);
	(void)shutdown(c->at[oldest].fd, SHUT_RDWR);
	c->at[oldest] = c->at[--c->n];
}

static void on_arrival(struct mail *m)
{
	struct arrival *a = container_of(m, struct arrival, mail);
	struct conns *c = a->conns;
	struct conn new = {.fd = bufferevent_getfd(a->bev), .since = c->count++};

	if (inode_of(new.fd, &new.inode)) {
		if (c->n == c->most)
			forget_closed(c);
		if (c->n == c->most)
			close_oldest(c);
		c->at[c->n++] = new;
	}
	bufferevent_decref(a->bev);
	mem_free(a);
}

static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
	struct conns *c = arg;
	struct arrival *a = mem_zalloc(sizeof(*a));
	struct bufferevent *bev = a ? bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE) : NULL;

	if (!bev) { /* evhttp then makes one itself: not counted, but answered */
		mem_free(a);
		return NULL;
	}
	bufferevent_incref(bev);
	*a = (struct arrival){.mail = {.run = on_arrival}, .conns = c, .bev = bev};
	loop_defer(c->loop, &a->mail);
	return bev;
}

void conns_watch(struct conns *c, struct evhttp *http)
{
	evhttp_set_bevcb(http, on_accept, c);
}
