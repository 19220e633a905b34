/*
 * fingerprint_doc.c - the normalised text of each statement in tests/golden/fingerprint. pt-equal.txt holds what
 * pt-fingerprint --match-embedded-numbers of percona-toolkit 3.2 says, differences.txt where docs/sql.md differs.
 */
#include "cases.h"
#include "digest.h"

static enum rc make(struct span statement, unsigned mode, struct iobuf *out)
{
	return sql_normalise(statement, mode, SIZE_MAX, out);
}

int main(int argc, char **argv)
{
	return cases_main(argc, argv, make);
}
