/*
 * rest.h - memory rests (instance.cache_rests) while another process may write beside this one and nobody tells of it (C1), and ten
 * seconds longer than that process lives: a server may still be at what it sent last. What memory would have answered is read where a fill
 * would be (cached.c).
 *
 *   rest_begin (the start; a former process that did not end in order) · rest_on (another one has ended, or fails and is yet to end)
 *   → rest_tick … → memory answers again, with the schema as it is now, and believes no replica that lacks what was written
 *   → for about a minute all is invalidated now and then, for what a server commits later yet
 *
 * Whoever serves has a file, which he takes away when he ends in order: it tells the next one, at a start that is no upgrade.
 * All of it belongs to the control thread.
 */
#ifndef SUIMON_REST_H
#define SUIMON_REST_H

/* This process begins to serve. path: the file, taken; NULL: nowhere. */
void rest_begin(char *path);
/* Who wrote beside this process has ended, or has failed (failed.h). */
void rest_on(void);
void rest_stop(void); /* another process is about to serve: how long memory rests is its business from here on */
void rest_disown(void); /* the file is another process' that serves */
void rest_end(void);

#endif
