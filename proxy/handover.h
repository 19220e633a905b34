/*
 * handover.h - the link between a process and the one that replaces it: a packet socket that carries words and descriptors.
 *
 *   former → new   socket NAME (+ descriptor) …, numbers N, bus N, eldest (+ pidfd) …, shared (+ memory, if it can be had), end  before the new one has read its configuration
 *   new → former   bus N                                             takeover_bus
 *   new → former   queue N                                           queue_place_of its queue's directory, 0: it has no such queue
 *   new → former   ready                                             its configuration holds, and its servers answer
 *   former → new   disabled ADDR …                                   servers that an operator keeps out
 *   new → former   yielding                                          before its own go: from here on a third one may serve; stays: it did not, and has ended
 *   former → new   go                                                it accepts no more; the statistics' file is free, and the queue's directory if it is the new one's
 *   new → former   left NAME …                                       sockets of which it has no use
 *   new → former   serving                                           it accepts, and has the queue
 *   former → new   main                                              the supervisor has been told who is who
 *   former → new   reload                                            at any time after its end of words: the file was taken anew here; once the new
 *                                                                    one serves, in the other direction as well
 *   new → former   applied SEQ …, disabled ADDR, enabled ADDR, drain
 *   new → former   succeeded                                         another one serves in its place: the sockets are that one's
 *   former → new   cancel                                            it goes on itself, or stops: the new one ends
 *
 * The end of either is the end of the link. NAME is an address as listen.mysql has it, or HANDOVER_GIVEN for a
 * socket that the supervisor made; with HANDOVER_HTTP and a blank before it, the one for HTTP. All of it belongs to the control threads.
 */
#ifndef SUIMON_HANDOVER_H
#define SUIMON_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include "rc.h"

#define HANDOVER_ENV "SUIMON_HANDOVER" /* the link's descriptor in the new process */
#define HANDOVER_WORD 256              /* bytes of a message at most, its end included */
#define HANDOVER_HTTP "http"
#define HANDOVER_GIVEN "given"

/* fd goes with it, a copy; -1: none. RC_ERROR: the link is broken, or full. */
enum rc handover_send(int link, int fd, const char *format, ...) must_check __attribute__((format(printf, 3, 4)));
/* One message; *fd is the caller's, -1: none came with it. RC_AGAIN: none is here. RC_DECLINED: the other end is gone. */
enum rc handover_receive(int link, char text[HANDOVER_WORD], int *fd) must_check;
/* All messages that are here, one by one, to on_word; descriptors that came with them are closed. *link is the caller's: -1, by what a
 * message did, ends it. RC_DECLINED: the other end is gone, or the link is broken. */
enum rc handover_each(const int *link, void (*on_word)(const char *text)) must_check;
/* What follows in "WORD REST". NULL: text is something else. */
const char *handover_rest(const char *text, const char *word) must_check;
/* The number in "WORD NUMBER". RC_DECLINED: text is something else. */
enum rc handover_number(const char *text, const char *word, uint64_t *out) must_check;

#endif
