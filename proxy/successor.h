/*
 * successor.h - the program is started anew, with the same arguments.
 */
#ifndef SUIMON_SUCCESSOR_H
#define SUIMON_SUCCESSOR_H

#include <sys/types.h>

/* link: its end of the link (handover.h), not taken. -1: it cannot be started (logged). */
pid_t successor_spawn(int link);

#endif
