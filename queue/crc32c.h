/*
 * crc32c.h - the Castagnoli checksum (RFC 3720, appendix B.4) of everything the queue keeps on disk.
 *
 * Uses the processor's instruction where there is one, a table elsewhere; both give the same number.
 */
#ifndef SUIMON_CRC32C_H
#define SUIMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0 to begin, or the result over the bytes before these. */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);
/* The table's way, on any processor: what the instruction is tested against. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t len);

#endif
