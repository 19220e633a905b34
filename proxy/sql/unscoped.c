#include "unscoped.h"

#include "parse.h"

size_t sql_set_unscoped(struct span text, unsigned mode, struct span *out, size_t cap)
{
	struct sql_parser p;
	size_t n = 0, depth = 0;
	bool at_target = false; /* behind SET, or a comma between assignments */

	for (sql_parser_init(&p, text, mode, false); n < cap && !p.why && p.t.kind != SQL_T_END; sql_advance(&p)) {
		if (at_target && p.t.kind == SQL_T_SYSTEM_VAR) {
			struct span name;

			sql_advance(&p);
			name = p.t.text;
			if ((p.t.kind == SQL_T_WORD || p.t.kind == SQL_T_QUOTED) && (sql_peek_op(&p, '=') || sql_peek_op(&p, SQL_OP_ASSIGN)))
				out[n++] = name;
		}
		if (sql_is_op(&p, '('))
			depth++;
		else if (sql_is_op(&p, ')') && depth)
			depth--;
		at_target = sql_is(&p, SQL_W_SET) || (depth == 0 && sql_is_op(&p, ','));
	}
	return n;
}
