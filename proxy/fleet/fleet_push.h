/*
 * fleet_push.h - `suimon push-config`: a shared document validated, compared, written; and what is there, shown.
 */
#ifndef SUIMON_FLEET_PUSH_H
#define SUIMON_FLEET_PUSH_H

int fleet_push_main(int argc, char **argv); /* an exit code */

#endif
