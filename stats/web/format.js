// Numbers and times as people read them. Seconds and bytes in, text out; null and undefined are a dash.

const DASH = "–";

function missing(v) {
	return v === null || v === undefined || Number.isNaN(v);
}

export function count(v) {
	if (missing(v))
		return DASH;
	if (v < 10000)
		return Number.isInteger(v) ? String(v) : v.toFixed(v < 10 ? 1 : 0);
	for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
		if (v >= size)
			return (v / size).toFixed(v >= 100 * size ? 0 : 1) + " " + unit;
	}
	return String(v);
}

export function seconds(v) {
	if (missing(v))
		return DASH;
	if (v === 0)
		return "0";
	const steps = [["µs", 1e-6, 1e-3], ["ms", 1e-3, 1], ["s", 1, 120], ["min", 60, 7200], ["h", 3600, 172800]];
	for (const [unit, size, below] of steps) {
		if (v < below) {
			const n = v / size;
			return (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)) + " " + unit;
		}
	}
	return (v / 86400).toFixed(1) + " d";
}

export function bytes(v) {
	if (missing(v))
		return DASH;
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let i = 0;
	for (; v >= 1024 && i < units.length - 1; i++)
		v /= 1024;
	return (i === 0 || v >= 100 ? v.toFixed(0) : v.toFixed(1)) + " " + units[i];
}

// Of whatever currency stats.cost_per_hour is in.
export function price(v) {
	if (missing(v))
		return DASH;
	return v === 0 || v >= .01 ? v.toFixed(2) : v.toPrecision(2);
}

export function share(part, whole) {
	if (missing(part) || !whole)
		return DASH;
	const p = 100 * part / whole;
	return (p > 0 && p < 10 || p > 99 && p < 100 ? p.toFixed(1) : p.toFixed(0)) + " %";
}

export function clock(unix, parts = {hour: "2-digit", minute: "2-digit", second: "2-digit"}) {
	return missing(unix) ? DASH : new Date(unix * 1000).toLocaleTimeString([], {...parts, hour12: false});
}

export function moment(unix) {
	return missing(unix) ? DASH : new Date(unix * 1000).toLocaleString();
}

const KINDS = {
	n_plus_one: "N+1 loop",
	missing_index: "Missing index",
	heavy_aggregate: "Heavy aggregate",
	cacheable: "Cacheable",
	queueable: "Queueable",
	lock_wait: "Lock wait",
};

export function kind(k) {
	return KINDS[k] || k;
}

// A field's name and value for a list of evidence: snake_case to words, unit by the name.
export function field(name, value) {
	const words = name.replace(/_/g, " ");
	if (typeof value === "number" && /time$|_seconds$|^waited$|_wait$/.test(name))
		return [words, seconds(value)];
	if (typeof value === "number" && name === "bytes")
		return [words, bytes(value)];
	if (typeof value === "number" && /share$|ratio$/.test(name))
		return [words, share(value, 1)];
	if (typeof value === "number")
		return [words, count(Number.isInteger(value) ? value : Math.round(value * 10) / 10)];
	return [words, missing(value) ? DASH : String(value)];
}
