/*
 * power_files.h - files of a machine whose power goes with the process: what was not synced when it dies may be gone.
 *
 * Of every write some 512-byte sectors reach the file at once and the others wait in memory for fdatasync, by chance, as
 * the kernel and a disk write back in whatever order they like. Names, too: a rename or an unlink may wait for the
 * directory to be synced. SIGKILL then leaves what a power cut would leave.
 */
#ifndef SUIMON_POWER_FILES_H
#define SUIMON_POWER_FILES_H

#include "fileops.h"

extern const struct file_ops power_files;

/* Before the first use; the same seed gives the same choices to the same calls. */
void power_files_seed(unsigned seed);

#endif
