/*
 * admin_config.c - /api/config: what is in effect, secrets masked; and its reload.
 */
#include "admin_impl.h"

#include "clock.h"

int get_config(struct call *c)
{
	struct iobuf config;
	struct jsonw w;
	enum rc rc;

	iobuf_init(&config, ADMIN_ANSWER_MAX);
	rc = settings_print_json(c->settings, &config);
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_text(&w, "version", SUIMON_VERSION);
	jsonw_time(&w, "started", clock_wall_us() - (clock_mono_ns() - c->a->in->started_ns) / 1000);
	jsonw_text(&w, "file", c->settings->file);
	fleet_put(c->a->hooks.fleet, c->settings->shared, &w);
	jsonw_raw(&w, "config", span_of(iobuf_data(&config), iobuf_len(&config)));
	jsonw_close(&w, '}');
	iobuf_reset(&config);
	return call_done(c, rc == RC_OK ? jsonw_end(&w) : rc);
}

int post_config_reload(struct call *c)
{
	struct admin *a = c->a;
	struct iobuf why;
	struct jsonw w;
	enum rc rc;

	iobuf_init(&why, 1024 * 1024);
	rc = a->hooks.reload(a->hooks.arg, &why);
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	if (rc == RC_OK) {
		jsonw_bool(&w, "reloaded", true);
	} else {
		jsonw_text(&w, "error", "the configuration was not reloaded, and nothing was changed");
		jsonw_lines(&w, "faults", span_of(iobuf_data(&why), iobuf_len(&why)));
	}
	jsonw_close(&w, '}');
	iobuf_reset(&why);
	return jsonw_end(&w) == RC_OK && rc != RC_OK ? 409 : call_done(c, jsonw_end(&w));
}
