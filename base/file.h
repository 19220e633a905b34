/*
 * file.h - a file written so that whoever reads it, also after a power cut, finds all of the old one or all of the new one.
 */
#ifndef SUIMON_FILE_H
#define SUIMON_FILE_H

#include "rc.h"
#include "span.h"

/* Blocks until all is written. RC_ERROR: errno. */
enum rc file_write_all(int fd, struct span bytes) must_check;
/* Writes new_path (mode 0600), syncs it, renames it over path and syncs the folder. Blocks for as long as the disk takes. RC_ERROR: errno. */
enum rc file_replace(const char *path, const char *new_path, struct span bytes) must_check;

#endif
