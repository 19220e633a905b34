/*
 * fingerprint_doc.c - the normalised text of each statement in tests/golden/fingerprint. The files named pt-*.txt hold
 * what pt-fingerprint --match-embedded-numbers of percona-toolkit 3.2 says; the others where docs/sql.md differs from it.
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
