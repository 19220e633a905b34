/*
 * The dashboard's files as the binary carries them: all there, and nothing in them that asks anybody else.
 */
#include "stats_helper.h"

static struct span file(const char *path, const char *type)
{
	const char *is;
	struct span f = stats_web_file(path, &is);

	assert_non_null(f.p);
	assert_true(f.len > 100);
	assert_string_equal(is, type);
	return f;
}

static void each_file_has_its_type(void **state)
{
	const char *type = "";

	assert_true(span_eq(file("/", "text/html; charset=utf-8"), file("/index.html", "text/html; charset=utf-8")));
	file("/app.js", "text/javascript; charset=utf-8");
	file("/style.css", "text/css; charset=utf-8");
	file("/icon.svg", "image/svg+xml");
	file("/uPlot.iife.min.js", "text/javascript; charset=utf-8");
	file("/uPlot.min.css", "text/css; charset=utf-8");
	file("/uPlot.LICENSE.txt", "text/plain; charset=utf-8");
	assert_null(stats_web_file("/../core.h", &type).p);
	assert_null(type);
}

/* Whatever the page names, it finds here. */
static void all_that_is_named_is_carried(void **state)
{
	static const char *const files[] = {"/",       "/app.js",    "/chart.js", "/charts.js", "/costs.js",
					    "/dom.js", "/evidence.js", "/format.js", "/views.js"};
	const char *type;

	for (unsigned i = 0; i < countof(files); i++) {
		struct span f = stats_web_file(files[i], &type);
		char *text = mem_dup(f.p, f.len), *at, name[64];

		assert_non_null(text);
		for (at = text; (at = strstr(at, "from \"./")) != NULL; at += 8) {
			assert_int_equal(sscanf(at, "from \".%63[^\"]", name), 1);
			assert_non_null(stats_web_file(name, &type).p);
		}
		mem_free(text);
	}
}

/* Content-Security-Policy: default-src 'self' holds: no inline script or style, no other host. */
static void nothing_is_inline_or_foreign(void **state)
{
	static const char *const files[] = {"/",	      "/app.js",    "/chart.js", "/charts.js", "/costs.js",
					    "/dom.js", "/evidence.js", "/format.js", "/views.js", "/style.css"};
	static const char *const never[] = {
		"<script>", "<style", " style=", " onclick=", "innerHTML", "eval(", "https://", "@import"};
	const char *type;

	for (unsigned i = 0; i < countof(files); i++) {
		struct span f = stats_web_file(files[i], &type);

		for (unsigned n = 0; n < countof(never); n++) {
			if (memmem(f.p, f.len, never[n], strlen(never[n])))
				fail_msg("%s has %s", files[i], never[n]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_file_has_its_type),
		cmocka_unit_test(all_that_is_named_is_carried),
		cmocka_unit_test(nothing_is_inline_or_foreign),
	};

	return cmocka_run_group_tests_name("stats: the dashboard's files", tests, NULL, NULL);
}
