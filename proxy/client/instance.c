#include "instance.h"

struct settings *instance_settings(struct instance *in)
{
	struct settings *s;

	pthread_mutex_lock(&in->settings_lock);
	s = settings_ref(in->settings);
	pthread_mutex_unlock(&in->settings_lock);
	return s;
}

void instance_put_settings(struct instance *in, struct settings *s)
{
	struct settings *old;

	pthread_mutex_lock(&in->settings_lock);
	old = in->settings;
	in->settings = s;
	pthread_mutex_unlock(&in->settings_lock);
	settings_unref(old);
}

/* A replica further behind than max_lag is not read from, and the monitor notices within two of its intervals. */
uint64_t instance_lag_window(const struct settings *s)
{
	return s->backend.monitor.max_lag_ns + 2 * s->backend.monitor.interval_ns;
}
