/*
 * conf_test.c - the configuration engine: types, defaults, variables, faults with their lines, bounds, memory.
 *
 * F2: no document crashes it. F3: bytes, depth and aliases are bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "mem.h"
#include "secret.h"

struct item {
	char *name;
	int64_t count;
};

struct sample {
	char *text;
	struct secret *token, *url, *password;
	bool on, second;
	int64_t number, autos;
	double real;
	uint64_t wait, size;
	int word;
	char **strings;
	size_t nstrings;
	struct item *items;
	size_t nitems;
	char *inner;
};

#define AT(field) .offset = offsetof(struct sample, field)
static const char *const words[] = {"red", "green", "blue", NULL};
static const char *const two[] = {"first", "second", NULL};
static const struct conf_opt string_item = {.type = CONF_STRING, .size = sizeof(char *)};
static const struct conf_opt item_rows[] = {
	{.name = "name", .type = CONF_STRING, .offset = offsetof(struct item, name), .help = "n"},
	{.name = "count", .type = CONF_INT, .offset = offsetof(struct item, count), .def = "1", .help = "c"},
	{.name = NULL},
};
static const struct conf_table item_table = {.size = sizeof(struct item), .opts = item_rows};
static const struct conf_opt table_item = {.type = CONF_TABLE, .table = &item_table, .size = sizeof(struct item)};
static const struct conf_opt inner_rows[] = {
	{.name = "inner", .type = CONF_STRING, AT(inner), .def = "in", .reload = true, .help = "i"},
	{.name = NULL},
};
static const struct conf_table inner_table = {.opts = inner_rows};
static const struct conf_opt rows[] = {
	{.name = "text", .type = CONF_STRING, AT(text), .def = "hello", .hides_query = true, .help = "t"},
	{.name = "token", .type = CONF_SECRET, AT(token), .def = "", .help = "t"},
	{.name = "url", .type = CONF_URL, AT(url), .def = "", .help = "u"},
	{.name = "password", .type = CONF_SECRET, AT(password), .def = "", .help = "p"},
	{.name = "flag", .type = CONF_BOOL, AT(on), .def = "off", .help = "o"},
	{.name = "pair", .type = CONF_CHOICE, AT(second), .def = "first", .words = two, .help = "p"},
	{.name = "number", .type = CONF_INT, AT(number), .def = "7", .min = 1, .max = 10, .reload = true, .help = "n"},
	{.name = "autos", .type = CONF_INT, AT(autos), .def = "auto", .min = 1, .max = 9, .zero = "auto", .help = "a"},
	{.name = "real", .type = CONF_DOUBLE, AT(real), .def = "0.5", .help = "r"},
	{.name = "wait", .type = CONF_DURATION, AT(wait), .def = "5s", .help = "w"},
	{.name = "size", .type = CONF_SIZE, AT(size), .def = "64KiB", .help = "s"},
	{.name = "colour", .type = CONF_ENUM, AT(word), .def = "green", .words = words, .help = "c"},
	{.name = "strings",
	 .type = CONF_LIST,
	 AT(strings),
	 .def = "[]",
	 .item = &string_item,
	 .single = true,
	 .help = "s"},
	{.name = "items", .type = CONF_LIST, AT(items), .def = "[]", .item = &table_item, .help = "i"},
	{.name = "section", .type = CONF_TABLE, .table = &inner_table, .help = "s"},
	{.name = NULL},
};
static const struct conf_table table = {.name = "sample", .size = sizeof(struct sample), .opts = rows};

static char faults[256 * 1024]; /* of the last load */

static enum rc load_bytes(const char *yaml, size_t len, struct sample *s)
{
	struct iobuf out;
	struct conf_ctx *c;
	enum rc rc = RC_ERROR;

	iobuf_init(&out, sizeof(faults) - 1);
	memset(s, 0, sizeof(*s));
	c = conf_open_text("f.yaml", span_of(yaml, len), &out);
	if (c) {
		rc = conf_fill(c, &table, s);
		rc = conf_close(c) == RC_OK ? rc : RC_ERROR;
	}
	memcpy(faults, iobuf_len(&out) ? (const char *)iobuf_data(&out) : "", iobuf_len(&out));
	faults[iobuf_len(&out)] = '\0';
	iobuf_reset(&out);
	return rc;
}

static enum rc load(const char *yaml, struct sample *s)
{
	return load_bytes(yaml, strlen(yaml), s);
}

static void expect_faults(const char *yaml, const char *expected)
{
	struct sample s;

	assert_int_equal(load(yaml, &s), RC_ERROR);
	assert_string_equal(faults, expected);
	conf_drop(&table, &s);
}

/* The first fault begins so. */
static void expect_fault(const char *yaml, const char *beginning)
{
	struct sample s;

	assert_int_equal(load(yaml, &s), RC_ERROR);
	if (strncmp(faults, beginning, strlen(beginning)) != 0)
		assert_string_equal(faults, beginning);
	conf_drop(&table, &s);
}

static char *printed(const struct sample *s)
{
	struct iobuf out;
	char *text;

	iobuf_init(&out, 0);
	assert_int_equal(conf_print(&table, s, &out), RC_OK);
	text = mem_dup(iobuf_data(&out), iobuf_len(&out));
	iobuf_reset(&out);
	return text;
}

static void an_empty_document_is_all_defaults(void **state)
{
	static const char *const empties[] = {"", "# nothing\n", "---\n", "~", "items:\nsection:\n"};

	for (size_t i = 0; i < countof(empties); i++) {
		struct sample s;

		assert_int_equal(load(empties[i], &s), RC_OK);
		assert_string_equal(s.text, "hello");
		assert_string_equal(s.inner, "in");
		assert_null(s.password);
		assert_false(s.on);
		assert_int_equal(s.number, 7);
		assert_int_equal(s.autos, 0);
		assert_int_equal(s.wait, 5000000000);
		assert_int_equal(s.size, 65536);
		assert_int_equal(s.word, 1);
		assert_int_equal(s.nstrings, 0);
		conf_drop(&table, &s);
	}
}

static void every_type_is_read(void **state)
{
	struct sample s;

	assert_int_equal(
		load("text: \"a b\"\ntoken: t\nurl: http://u:p@h/\npassword: pw\nflag: yes\npair: second\nnumber: 10\n"
		     "autos: 3\nreal: 1.25\nwait: 1.5h\nsize: 3MiB\ncolour: blue\nstrings: one\n"
		     "items: [{name: x}, {name: y, count: 4}]\nsection: {inner: q}\n",
		     &s),
		RC_OK);
	assert_string_equal(s.text, "a b");
	assert_string_equal(secret_text(s.token).p, "t");
	assert_string_equal(secret_text(s.password).p, "pw");
	assert_true(s.on && s.second);
	assert_int_equal(s.number, 10);
	assert_int_equal(s.autos, 3);
	assert_true(s.real > 1.24 && s.real < 1.26);
	assert_int_equal(s.wait, 5400 * INT64_C(1000000000));
	assert_int_equal(s.size, 3 << 20);
	assert_int_equal(s.word, 2);
	assert_int_equal(s.nstrings, 1);
	assert_string_equal(s.strings[0], "one");
	assert_int_equal(s.nitems, 2);
	assert_int_equal(s.items[0].count, 1);
	assert_string_equal(s.items[1].name, "y");
	assert_string_equal(s.inner, "q");
	conf_drop(&table, &s);
}

static void units(void **state)
{
	static const struct {
		const char *text;
		int64_t ns, bytes; /* -1: refused */
	} cases[] = {
		{"0", 0, 0},
		{"250ms", 250000000, -1},
		{"5s", 5000000000, -1},
		{"10m", 600000000000, -1},
		{"1h", 3600000000000, -1},
		{"7us", 7000, -1},
		{"2d", 172800000000000, -1},
		{"1.5s", 1500000000, -1},
		{"5", -1, 5},
		{"5 s", -1, -1},
		{"s", -1, -1},
		{"-1s", -1, -1},
		{"1e3s", -1, -1},
		{"0.5ns", -1, -1},
		{"99999999999999999999s", -1, -1},
		{"400000000000h", -1, -1},
		{"64KiB", -1, 65536},
		{"64kib", -1, 65536},
		{"1.5GiB", -1, 1610612736},
		{"4TiB", -1, INT64_C(4) << 40},
		{"64KB", -1, -1},
		{"64K", -1, -1},
		{"0.3KiB", -1, -1},
		{"9999999TiB", -1, -1},
		{"", -1, -1},
		{"1.s", -1, -1},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		uint64_t v = 0;

		assert_int_equal(conf_duration(span_str(cases[i].text), &v) == RC_OK ? (int64_t)v : -1, cases[i].ns);
		assert_int_equal(conf_size(span_str(cases[i].text), &v) == RC_OK ? (int64_t)v : -1, cases[i].bytes);
	}
}

static void every_fault_is_reported_in_order_of_lines(void **state)
{
	expect_faults("number: 11\n"
		      "colour: pink\n"
		      "txet: x\n"
		      "wait: 5\n"
		      "size: 3KB\n"
		      "flag: maybe\n"
		      "section: {innner: 1, other: 2}\n"
		      "items:\n"
		      "  - {count: x}\n"
		      "  - name: [a]\n"
		      "number: 3\n",
		      "f.yaml:1: number: 11 is out of range, allowed is a whole number from 1 to 10\n"
		      "f.yaml:2: colour: pink is not what belongs here, allowed is red, green or blue\n"
		      "f.yaml:3: txet: unknown key (did you mean text?), allowed are text, token, url, password, flag, "
		      "pair, number, "
		      "autos, real, wait, size, colour, strings, items, section\n"
		      "f.yaml:4: wait: 5 is no duration (such as 250ms, 5s, 10m, 1h), allowed is a duration\n"
		      "f.yaml:5: size: 3KB is no size (such as 64KiB, 256MiB, 4GiB), allowed is a size\n"
		      "f.yaml:6: flag: maybe is neither on nor off, allowed is on or off\n"
		      "f.yaml:7: section.innner: unknown key (did you mean inner?), allowed are inner\n"
		      "f.yaml:7: section.other: unknown key, allowed are inner\n"
		      "f.yaml:9: items[0].name: is missing, allowed is a string\n"
		      "f.yaml:9: items[0].count: x is no whole number, allowed is a whole number\n"
		      "f.yaml:10: items[1].name: a list is not what belongs here, allowed is a string\n"
		      "f.yaml:11: number: given twice, allowed is once (it stands in line 1 too)\n");
}

static void wrong_shapes_are_faults(void **state)
{
	expect_fault("[a, b]", "f.yaml:1: yaml: a list, allowed is a mapping of options\n");
	expect_fault("just text", "f.yaml:1: yaml: a single value, allowed is a mapping of options\n");
	expect_fault("section: 5",
		     "f.yaml:1: section: a single value is not what belongs here, allowed is a mapping (inner)\n");
	expect_fault("text:", "f.yaml:1: text: nothing is not what belongs here, allowed is a string\n");
	expect_fault("items: {a: b}", "f.yaml:1: items: a mapping is not what belongs here, allowed is a list\n");
	expect_fault("? [a]\n: b", "f.yaml:1: yaml: a list or mapping as a key, allowed is a name\n");
	expect_fault("a: b\n---\nc: d", "f.yaml:2: yaml: a second document, allowed is one\n");
	expect_fault("text: !!int 5", "f.yaml:1: yaml: tag tag:yaml.org,2002:int, allowed are values without a tag\n");
	expect_fault("text: \"a\\0b\"", "f.yaml:1: yaml: a NUL byte in a value, allowed is text\n");
}

static void broken_yaml_names_its_line(void **state)
{
	expect_fault("text: a\nitems: [a, b\nnumber: 3\n", "f.yaml:3: yaml: ");
	expect_fault("text: a\n\tnumber: 3\n", "f.yaml:2: yaml: ");
	expect_fault("text: a\ntoken: b\nurl: \xff\n", "f.yaml:3: yaml: ");
	expect_fault("text: \"open\n", "f.yaml:");
}

/* A password in a fault would end in a log. */
static void faults_do_not_cite_secrets(void **state)
{
	expect_fault("password: [hunter2]",
		     "f.yaml:1: password: a list is not what belongs here, allowed is a string\n");
	setenv("CONF_TEST_PW", "hunter2", 1);
	expect_fault("number: ${CONF_TEST_PW}",
		     "f.yaml:1: number: ${CONF_TEST_PW} is no whole number, allowed is a whole number");
}

/* ---- variables ---- */

static void variables_are_replaced_anywhere(void **state)
{
	struct sample s;

	setenv("CONF_TEST_A", "va: {l}, #ue\"", 1);
	setenv("CONF_TEST_N", "9", 1);
	setenv("CONF_TEST_EMPTY", "", 1);
	unsetenv("CONF_TEST_NONE");
	assert_int_equal(
		load("text: ${CONF_TEST_A}\n"
		     "token: \"<${CONF_TEST_A}>\"\n"
		     "number: ${CONF_TEST_N} # ${CONF_TEST_NONE} is not looked up in a comment\n"
		     "strings: ['${CONF_TEST_NONE:-a, b: c}', ${CONF_TEST_NONE:-flow}, \"${CONF_TEST_EMPTY:-dflt}\", "
		     "'${CONF_TEST_EMPTY}', \"$${HOME} $5 $\", '$$$${x}', ^a$]\n"
		     "items: [{name: ${CONF_TEST_A}}]\n"
		     "section: {inner: >-\n  ${CONF_TEST_N}\n  ${CONF_TEST_N}}",
		     &s),
		RC_ERROR);
	conf_drop(&table, &s); /* a block scalar inside {}: YAML's own rule */
	assert_int_equal(
		load("text: ${CONF_TEST_A}\n"
		     "token: \"<${CONF_TEST_A}>\"\n"
		     "number: ${CONF_TEST_N} # ${CONF_TEST_NONE} is not looked up in a comment\n"
		     "strings: ['${CONF_TEST_NONE:-a, b: c}', ${CONF_TEST_NONE:-flow}, \"${CONF_TEST_EMPTY:-dflt}\", "
		     "'${CONF_TEST_EMPTY}', \"$${HOME} $5 $\", '$$$${x}', ^a$, \xee\x80\x80"
		     "aaaaa]\n"
		     "items: [{name: ${CONF_TEST_A}}]\n"
		     "section:\n  inner: >-\n    ${CONF_TEST_N}\n    ${CONF_TEST_N}\n",
		     &s),
		RC_OK);
	assert_string_equal(s.text, "va: {l}, #ue\"");
	assert_string_equal(secret_text(s.token).p, "<va: {l}, #ue\">");
	assert_int_equal(s.number, 9);
	assert_int_equal(s.nstrings, 8);
	assert_string_equal(s.strings[0], "a, b: c");
	assert_string_equal(s.strings[1], "flow");
	assert_string_equal(s.strings[2], "dflt");
	assert_string_equal(s.strings[3], "");
	assert_string_equal(s.strings[4], "${HOME} $5 $");
	assert_string_equal(s.strings[5], "$$${x}");
	assert_string_equal(s.strings[6], "^a$");
	assert_string_equal(s.strings[7], "\xee\x80\x80"
					  "aaaaa");
	assert_string_equal(s.items[0].name, "va: {l}, #ue\"");
	assert_string_equal(s.inner, "9 9");
	conf_drop(&table, &s);
}

/* They do not reach libyaml; wherever they stand, they are read as it would have read them. */
static void words_are_read_as_yaml_has_them(void **state)
{
	static const struct {
		const char *yaml, *text, *token;
	} cases[] = {
		{"text: redis://:pass#word@host:6379/0?name=x # comment\n\"token\": 'it''s single-quoted'", "redis://:pass#word@host:6379/0?name=x",
		 "it's single-quoted"},
		{"text: \"double\\tquoted \\\"words\\\" \\x41lphabet\\\n  continued: anyway\"\ntoken: '&notanchor *notalias: !nottag'",
		 "double\tquoted \"words\" Alphabetcontinued: anyway", "&notanchor *notalias: !nottag"},
		{"text: &anchored several plain\n  words: none\ntoken: t", NULL, NULL},
		{"text: &anchored several plain\n  words\ntoken: *anchored", "several plain words", "several plain words"},
		{"text: |\n  literal: 'words'\n    indented\ntoken: >-\n  folded\n  words", "literal: 'words'\n  indented\n", "folded words"},
		{"{text: flowing:words, token: [notatext]}", NULL, NULL},
		{"{\"text\":\"flowing\",token: $longer$$than{}\n}", NULL, NULL},
		{"{\"text\":\"flowing\",token: $longer$$than}", "flowing", "$longer$$than"},
		{"text: $${literal}words:\ntoken: word::", NULL, NULL},
		{"text: '$${literal}words:'\ntoken: word::with", "${literal}words:", "word::with"},
		{"{text: [nothere,anylonger], token: t}", NULL, NULL},
		{"strings: [first,second!{curly}]", NULL, NULL},
		{"strings: [first,second!]\ntext: a,longer{word}?with#all\ntoken: 'a\\backslash,quoted'", "a,longer{word}?with#all", "a\\backslash,quoted"},
		{"text: @notaword", NULL, NULL},
		{"text: words: words", NULL, NULL},
		{"text: \"words", NULL, NULL},
		{"%YAML 1.1\n---\ntext: words\ntoken: ~\n...\n", NULL, NULL},
		{"%YAML 1.1\n---\ntext: words\ntoken: ---longer\n...\n", "words", "---longer"},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct sample s;

		assert_int_equal(load(cases[i].yaml, &s), cases[i].text ? RC_OK : RC_ERROR);
		if (cases[i].text) {
			assert_string_equal(s.text, cases[i].text);
			assert_string_equal(secret_text(s.token).p, cases[i].token);
		}
		conf_drop(&table, &s);
	}
}

static void missing_and_malformed_variables_are_faults(void **state)
{
	unsetenv("CONF_TEST_NONE");
	setenv("CONF_TEST_BYTES", "\xc3\xa9\xc3(", 1);
	expect_faults("text: a\ntoken: x${CONF_TEST_NONE}y${CONF_TEST_NONE}\nstrings: [\"${\", '${1a}', '${a b}', "
		      "'${CONF_TEST_BYTES}']\n",
		      "f.yaml:2: token: environment variable CONF_TEST_NONE is not set, allowed are set ones and "
		      "${CONF_TEST_NONE:-text}\n"
		      "f.yaml:2: token: environment variable CONF_TEST_NONE is not set, allowed are set ones and "
		      "${CONF_TEST_NONE:-text}\n"
		      "f.yaml:3: strings[0]: ${ without a variable's name, allowed are ${NAME}, ${NAME:-text}, and $${ "
		      "for these two "
		      "characters\n"
		      "f.yaml:3: strings[1]: ${ without a variable's name, allowed are ${NAME}, ${NAME:-text}, and $${ "
		      "for these two "
		      "characters\n"
		      "f.yaml:3: strings[2]: ${ without a variable's name, allowed are ${NAME}, ${NAME:-text}, and $${ "
		      "for these two "
		      "characters\n"
		      "f.yaml:3: strings[3]: environment variable CONF_TEST_BYTES holds bytes that are not UTF-8, "
		      "allowed is UTF-8\n");
}

static void put_file(const char *folder, const char *name, const char *bytes, size_t len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void credentials_stand_in_for_variables(void **state)
{
	char folder[] = "/tmp/conf_test_XXXXXX", command[64], path[256], *big = mem_zalloc(70000);
	struct sample s;

	assert_non_null(mkdtemp(folder));
	assert_non_null(big);
	memset(big, 'x', 69999);
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	setenv("CONF_TEST_BOTH", "variable", 1);
	put_file(folder, "CONF_TEST_BOTH", "file", 4);
	put_file(folder, "CONF_TEST_C1", "sec: ret\n", 9);
	put_file(folder, "suimon_CONF_TEST_C2", "two\n\n", 5);
	put_file(folder, "CONF_TEST_C3", "", 0);
	put_file(folder, "CONF_TEST_ZERO", "a\0b", 3);
	put_file(folder, "CONF_TEST_BIG", big, 69999);
	assert_int_equal(load("text: ${CONF_TEST_BOTH}\ntoken: ${CONF_TEST_C1}\n"
			      "strings: [\"${CONF_TEST_C2}\", \"${CONF_TEST_C3:-none}\"]\n", &s), RC_OK);
	assert_string_equal(s.text, "variable");
	assert_string_equal(secret_text(s.token).p, "sec: ret");
	assert_string_equal(s.strings[0], "two\n");
	assert_string_equal(s.strings[1], "none");
	conf_drop(&table, &s);
	expect_fault("text: ${CONF_TEST_ZERO}", "f.yaml:1: text: the credential CONF_TEST_ZERO is not readable");
	/* There, and not to be opened, or not to be waited for: no default stands in for it. */
	snprintf(path, sizeof(path), "%s/CONF_TEST_LOOP", folder);
	assert_int_equal(symlink("CONF_TEST_LOOP", path), 0);
	expect_fault("text: ${CONF_TEST_LOOP:-none}", "f.yaml:1: text: the credential CONF_TEST_LOOP is not readable");
	snprintf(path, sizeof(path), "%s/CONF_TEST_ASTRAY", folder);
	assert_int_equal(symlink("..data/CONF_TEST_ASTRAY", path), 0);
	expect_fault("text: ${CONF_TEST_ASTRAY:-none}", "f.yaml:1: text: the credential CONF_TEST_ASTRAY is not readable");
	snprintf(path, sizeof(path), "%s/CONF_TEST_PIPE", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(60);
	expect_fault("text: ${CONF_TEST_PIPE:-none}", "f.yaml:1: text: the credential CONF_TEST_PIPE is not readable");
	alarm(0);
	unsetenv("CONF_TEST_BIG");
	expect_fault("text: ${CONF_TEST_BIG}", "f.yaml:1: text: the credential CONF_TEST_BIG is not readable");
	expect_fault("text: ${CONF_TEST_NONE}", "f.yaml:1: text: environment variable CONF_TEST_NONE is not set");
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	/* A folder that is not there has none: so it is under systemd where there is nothing to hand over. */
	assert_int_equal(load("text: ${CONF_TEST_C1:-none}", &s), RC_OK);
	assert_string_equal(s.text, "none");
	conf_drop(&table, &s);
	expect_fault("text: ${CONF_TEST_C1}", "f.yaml:1: text: environment variable CONF_TEST_C1 is not set");
	unsetenv("CREDENTIALS_DIRECTORY");
	mem_free(big);
}

/* ---- bounds ---- */

static void aliases_stand_for_their_anchor(void **state)
{
	struct sample s;

	assert_int_equal(load("items: [&i {name: x}, *i, *i]\n", &s), RC_OK);
	assert_int_equal(s.nitems, 3);
	assert_string_equal(s.items[2].name, "x");
	conf_drop(&table, &s);
	expect_fault("text: *none", "f.yaml:1: yaml: alias *none of no anchor, allowed is one that stands above\n");
	expect_fault("items: &a [*a]", "f.yaml:1: yaml: alias *a inside its own anchor, allowed is one outside\n");
}

static void an_alias_bomb_is_refused(void **state)
{
	char yaml[4096];
	size_t at = (size_t)snprintf(yaml, sizeof(yaml), "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");

	for (int i = 1; i < 20; i++)
		at += (size_t)snprintf(yaml + at, sizeof(yaml) - at,
				       "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
				       i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	expect_fault(yaml, "f.yaml:6: yaml: too many values with all aliases expanded, allowed are 100000\n");
}

static void depth_is_bounded(void **state)
{
	char yaml[2000];

	memset(yaml, '[', sizeof(yaml));
	memcpy(yaml, "text: ", 6);
	yaml[sizeof(yaml) - 1] = '\0';
	expect_fault(yaml, "f.yaml:1: yaml: nested too deeply, allowed are 32 levels\n");
}

static void size_is_bounded(void **state)
{
	size_t len = CONF_MAX_BYTES + 1;
	char *yaml = mem_alloc(len);
	struct sample s;

	memset(yaml, '#', len);
	assert_int_equal(load_bytes(yaml, len - 1, &s), RC_OK);
	conf_drop(&table, &s);
	assert_int_equal(load_bytes(yaml, len, &s), RC_ERROR);
	assert_string_equal(faults, "f.yaml:1: yaml: the document is too large, allowed are 1048576 bytes\n");
	mem_free(yaml);
}

static void what_variables_blow_up_is_bounded(void **state)
{
	static const char ref[] = "${CONF_TEST_BIG},";
	size_t value = 100 * 1024, refs = 1000, len = 10;
	char *big = mem_alloc(value + 1), *yaml = mem_alloc(refs * sizeof(ref) + 16);
	struct sample s;

	memset(big, 'x', value);
	big[value] = '\0';
	setenv("CONF_TEST_BIG", big, 1);
	memcpy(yaml, "strings: [", len);
	for (size_t i = 0; i < refs; i++, len += sizeof(ref) - 1)
		memcpy(yaml + len, ref, sizeof(ref) - 1);
	yaml[len++] = ']';
	assert_int_equal(load_bytes(yaml, len, &s), RC_ERROR);
	assert_non_null(strstr(faults, "memory: ran out"));
	unsetenv("CONF_TEST_BIG");
	mem_free(big);
	mem_free(yaml);
}

static void a_flood_of_faults_is_counted(void **state)
{
	char *yaml = mem_alloc(20 * 1500);
	size_t len = 0, lines = 0;
	struct sample s;

	for (int i = 0; i < 1500; i++)
		len += (size_t)snprintf(yaml + len, 20, "nothing%d: 1\n", i);
	assert_int_equal(load_bytes(yaml, len, &s), RC_ERROR);
	conf_drop(&table, &s);
	for (const char *p = faults; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 1001);
	assert_non_null(strstr(faults, "f.yaml:0: faults: 500 more are not shown, allowed is none\n"));
	mem_free(yaml);
}

/* A fault is one line of text whatever stands in the document. */
static void faults_cite_values_short_and_printable(void **state)
{
	expect_fault("number: \"a\\nb\\x1b[0m\"", "f.yaml:1: number: a?b?[0m is no whole number");
	expect_fault(
		"number: 12345678901234567890123456789012345678901234567890123456789\xc3\xa9\xc3\xa9",
		"f.yaml:1: number: 12345678901234567890123456789012345678901234567890123456789… is no whole number");
	expect_fault("real: x", "f.yaml:1: real: x is no number, allowed is a number\n");
}

/* ---- printing ---- */

static void what_is_printed_loads_the_same(void **state)
{
	static const char *const odd[] = {
		"",
		" ",
		"null",
		"~",
		"on",
		"1e3",
		"0x10",
		"12:30",
		"1.2.3.4:80",
		"a: b",
		"- x",
		"#c",
		"[x]",
		"{x}",
		"*a",
		"&a",
		"!t",
		"a\nb",
		"tab\there",
		"quote\"back\\slash",
		"${HOME}",
		"$${HOME}",
		"$$",
		"$",
		"\x01\x7f",
		"\xc2\x85",
		"\xe2\x80\xa8",
		"\xef\xbb\xbf"
		"bom",
		"\xee\x80\x80"
		"aaaab",
		"\xf0\x9f\x8c\x8a",
		"ends:",
		"'",
		"%",
		"@",
		"`",
		"\xc2\xa0",
		"?",
		": ",
		"a #b",
	};
	struct sample a = {0}, b;
	struct iobuf differ;
	char *text;

	assert_int_equal(load("", &a), RC_OK);
	a.nstrings = countof(odd);
	a.strings = mem_zalloc(sizeof(char *) * a.nstrings);
	for (size_t i = 0; i < countof(odd); i++)
		a.strings[i] = mem_strdup(odd[i]);
	text = printed(&a);
	assert_int_equal(load(text, &b), RC_OK);
	assert_int_equal(b.nstrings, countof(odd));
	for (size_t i = 0; i < countof(odd); i++)
		assert_string_equal(b.strings[i], odd[i]);
	iobuf_init(&differ, 0);
	assert_int_equal(conf_fixed_differ(&table, &a, &b, &differ), RC_OK);
	assert_int_equal(iobuf_len(&differ), 0);
	mem_free(text);
	conf_drop(&table, &a);
	conf_drop(&table, &b);
}

static void effective_values_are_block_style_with_secrets_masked(void **state)
{
	struct sample s;
	char *text;

	assert_int_equal(
		load("token: t0p\npassword: hunter2\nurl: redis://me:s3c@h:1/2\nwait: 90s\nsize: 1536KiB\nautos: 4\n"
		     "items: [{name: x}, {name: 'y z'}]\nreal: 0.1",
		     &s),
		RC_OK);
	text = printed(&s);
	assert_string_equal(text, "text: hello\n"
				  "token: \"***\"\n"
				  "url: \"redis://me:***@h:1/2\"\n"
				  "password: \"***\"\n"
				  "flag: off\n"
				  "pair: first\n"
				  "number: 7\n"
				  "autos: 4\n"
				  "real: 0.1\n"
				  "wait: 90s\n"
				  "size: 1536KiB\n"
				  "colour: green\n"
				  "strings: []\n"
				  "items:\n"
				  "  - name: x\n"
				  "    count: 1\n"
				  "  - name: \"y z\"\n"
				  "    count: 1\n"
				  "section:\n"
				  "  inner: in\n");
	mem_free(text);
	conf_drop(&table, &s);
}

static void of_a_query_only_the_names_are_shown(void **state)
{
	static const char *const shown[][2] = {
		{"http://h/p?", "http://h/p?***"},
		{"http://h/p?a=1", "http://h/p?a=***"},
		{"http://h/p?a=1&key=s3c", "http://h/p?a=***&key=***"},
		{"http://h/p?s3c&a==b&", "http://h/p?***&a=***&***"},
		{"http://h/p?a=1?b=2", "http://h/p?a=***"},
	};

	for (size_t i = 0; i < countof(shown); i++) {
		char yaml[100], want[100];
		struct sample s;
		char *text;

		snprintf(yaml, sizeof(yaml), "text: \"%s\"", shown[i][0]);
		snprintf(want, sizeof(want), "text: \"%s\"\n", shown[i][1]); /* in quotes for its asterisks */
		assert_int_equal(load(yaml, &s), RC_OK);
		text = printed(&s);
		text[strcspn(text, "\n") + 1] = '\0';
		assert_string_equal(text, want);
		mem_free(text);
		conf_drop(&table, &s);
	}
}

/* Hidden values differ too, and what a reload may change is not named. */
static void options_that_a_reload_may_not_change_are_named(void **state)
{
	struct sample a, b;
	struct iobuf out;

	assert_int_equal(load("text: h?k=one\npassword: one\nurl: redis://u:one@h:1\nnumber: 2", &a), RC_OK);
	assert_int_equal(
		load("text: h?k=two\npassword: two\nurl: redis://u:two@h:1\nnumber: 3\nsection: {inner: q}\nitems: [{name: a}]",
		     &b),
		RC_OK);
	iobuf_init(&out, 0);
	assert_int_equal(conf_fixed_differ(&table, &a, &b, &out), RC_OK);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	assert_string_equal(iobuf_data(&out), "text: only a restart can change it\nurl: only a restart can change it\n"
					      "password: only a restart can change it\n"
					      "items: only a restart can change it\n");
	iobuf_reset(&out);
	conf_drop(&table, &a);
	conf_drop(&table, &b);
}

/* F1: out of memory at any call is answered, nothing leaks (the build with ASan tells). */
static void every_allocation_may_fail(void **state)
{
	static const char yaml[] =
		"text: ${CONF_TEST_N}\npassword: pw\nstrings: [a, \"b\"]\nitems: [{name: x}, {nme: y}]\n";
	struct sample s;
	uint64_t n = 0;
	bool done;

	setenv("CONF_TEST_N", "9", 1);
	do {
		n++;
		mem_fail_after(n, n % 2);
		assert_int_equal(load(yaml, &s), RC_ERROR); /* it has a fault of its own as well */
		mem_fail_after(0, 0);
		conf_drop(&table, &s);
		done = strcmp(faults,
			      "f.yaml:4: items[1].nme: unknown key (did you mean name?), allowed are name, count\n"
			      "f.yaml:4: items[1].name: is missing, allowed is a string\n") == 0;
		assert_true(n < 1000);
	} while (!done || n < 40);
}

static void a_file_that_cannot_be_read_is_a_fault(void **state)
{
	struct iobuf out;
	struct conf_ctx *c;
	struct sample s = {0};

	iobuf_init(&out, 0);
	c = conf_open_file("/nonexistent/x.yaml", &out);
	assert_non_null(c);
	assert_int_equal(conf_fill(c, &table, &s), RC_ERROR);
	assert_int_equal(conf_close(c), RC_ERROR);
	c = conf_open_file("/", &out);
	assert_non_null(c);
	assert_int_equal(conf_close(c), RC_ERROR);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	assert_string_equal(
		iobuf_data(&out),
		"/nonexistent/x.yaml:0: file: cannot be read: No such file or directory, allowed is a readable file\n"
		"/:0: file: cannot be read: Is a directory, allowed is a readable file\n");
	iobuf_reset(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_document_is_all_defaults),
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(units),
		cmocka_unit_test(every_fault_is_reported_in_order_of_lines),
		cmocka_unit_test(wrong_shapes_are_faults),
		cmocka_unit_test(broken_yaml_names_its_line),
		cmocka_unit_test(faults_do_not_cite_secrets),
		cmocka_unit_test(variables_are_replaced_anywhere),
		cmocka_unit_test(words_are_read_as_yaml_has_them),
		cmocka_unit_test(missing_and_malformed_variables_are_faults),
		cmocka_unit_test(credentials_stand_in_for_variables),
		cmocka_unit_test(aliases_stand_for_their_anchor),
		cmocka_unit_test(an_alias_bomb_is_refused),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(size_is_bounded),
		cmocka_unit_test(what_variables_blow_up_is_bounded),
		cmocka_unit_test(a_flood_of_faults_is_counted),
		cmocka_unit_test(faults_cite_values_short_and_printable),
		cmocka_unit_test(what_is_printed_loads_the_same),
		cmocka_unit_test(effective_values_are_block_style_with_secrets_masked),
		cmocka_unit_test(of_a_query_only_the_names_are_shown),
		cmocka_unit_test(options_that_a_reload_may_not_change_are_named),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(a_file_that_cannot_be_read_is_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
