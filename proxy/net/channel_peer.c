/*
 * channel_peer.c - a peer that is gone without a word: its host has lost power, or a network in between drops everything.
 *
 * While nothing is on its way to it, the kernel's probes find out. While something is, the kernel would send it again for
 * a quarter of an hour: channel_is_unheard tells that it has begun to, and whoever waits decides how long is enough.
 */
#include "channel_impl.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#define PROBE_AFTER_S 10 /* of silence; a peer that answers none of the probes is gone */
#define PROBE_EVERY_S 3
#define PROBES 4

static void set(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value)); /* fails on unix sockets, which need it not */
}

void channel_watch_peer(int fd)
{
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
}

bool channel_is_unheard(const struct channel *ch)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	/* A peer that has no room for more still acknowledges: it is slow, not gone. */
	return ch->open && getsockopt(ch->stream.fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_unacked &&
	       info.tcpi_retransmits;
}

bool channel_has_ended(const struct channel *ch)
{
	struct pollfd p = {.fd = ch->stream.fd, .events = POLLRDHUP};

	return ch->open && poll(&p, 1, 0) == 1;
}
