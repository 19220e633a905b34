// What each chart shows. Load by route comes with its history from the instance; the others are what this page has seen since it was opened.

import {ROUTES, TimeChart} from "./chart.js";
import * as f from "./format.js";

const KEEP = 450, DIGESTS = 6; // a quarter of an hour, every two seconds
const SHADES = ["shade-1", "shade-2", "shade-3", "shade-4", "shade-5", "shade-6"];

function short(sql) {
	const words = sql.replace(/`/g, "");
	return words.length > 48 ? words.slice(0, 47) + "…" : words;
}

// Means of so many neighbours that the steps can be drawn; sums become rates.
function thin(history, by, name) {
	const out = [];
	for (let i = 0; i + by <= history[name].length; i += by)
		out.push(history[name].slice(i, i + by).reduce((a, b) => a + b, 0) / by / history.step);
	return out;
}

export class Charts {
	constructor() {
		const routes = ROUTES.map(r => ({name: r, colour: r}));
		this.load = new TimeChart("chart", [...routes], {stacked: true, format: f.count, least: 1, summary: i => this.mean(i)});
		this.digests = new TimeChart("digests-chart", [], {stacked: true, format: f.seconds});
		this.latency = new TimeChart("latency-chart",
			[{name: "p50", colour: "shade-1"}, {name: "p95", colour: "shade-3"}, {name: "p99", colour: "shade-5"}], {format: f.seconds});
		this.hits = new TimeChart("hits-chart", [{name: "hit ratio", colour: "cache"}], {format: v => f.share(v, 1), least: 1 / 1.08});
		this.depth = new TimeChart("depth-chart", [{name: "depth", colour: "queue"}], {format: f.count, least: 1});
		this.age = new TimeChart("age-chart", [{name: "oldest", colour: "queue"}], {format: f.seconds, least: .01});
		this.seen = []; // {at, latency: [p50, p95, p99], hits, depth, age, time: {digest: seconds a second}, all}
		this.before = {};
		this.texts = new Map();
	}

	mean(i) {
		const total = this.load.rows.reduce((n, row) => n + row[i], 0);
		return total > 0 ? `; mean ${f.seconds(this.times[i] / total)}` : "";
	}

	add(overview, queries, cache, queue, quantile, then) {
		const h = overview.history, by = document.body.clientWidth > 700 ? 2 : 5;
		const rows = ROUTES.map(r => thin(h, by, r));
		this.times = thin(h, by, "time");
		this.load.show(rows[0].map((_, i) => h.start + (i * by + by / 2) * h.step), rows);
		if (then && then.uptime > overview.uptime)
			this.seen.length = 0; // another process: its numbers begin anew
		this.seen.push(this.point(overview, queries, cache, queue, quantile, then));
		if (this.seen.length > KEEP)
			this.seen.shift();
		this.draw();
	}

	point(overview, queries, cache, queue, quantile, then) {
		const span = then ? overview.now - then.now : 0, time = {}, now = {};
		for (const q of queries?.queries || []) {
			const spent = q.total_time - (this.before[q.digest] ?? q.total_time);
			now[q.digest] = q.total_time;
			if (span > 0 && spent > 0)
				time[q.digest] = spent / span;
			this.texts.set(q.digest, q.text);
		}
		this.before = now; // of this answer alone: what was spent while it was not in them is no one moment's
		const hits = (cache?.hits || 0) + (cache?.hits_redis || 0), asked = hits + (cache?.misses || 0);
		const lately = asked - (this.asked ?? asked), ratio = lately > 0 ? (hits - this.had) / lately : null;
		this.asked = asked;
		this.had = hits;
		return {at: overview.now, latency: [.5, .95, .99].map(q => then ? quantile(overview.latency, then.latency, q) : null), hits: ratio,
			depth: queue?.depth ?? null, age: queue?.depth > 0 ? queue.oldest_age : 0, time};
	}

	// The heaviest of what was seen, the rest summed.
	heaviest() {
		const sums = new Map();
		for (const p of this.seen)
			for (const [digest, s] of Object.entries(p.time))
				sums.set(digest, (sums.get(digest) || 0) + s);
		return [...sums].sort((a, b) => b[1] - a[1]).slice(0, DIGESTS).map(([digest]) => digest).sort();
	}

	draw() {
		const at = this.seen.map(p => p.at), top = this.heaviest(), others = p =>
			Object.entries(p.time).reduce((n, [d, s]) => n + (top.includes(d) ? 0 : s), 0);
		this.digests.setSeries([...top.map((d, i) => ({name: short(this.texts.get(d) || d), title: d, colour: SHADES[i]})),
			{name: "others", colour: "local"}]);
		this.digests.show(at, [...top.map(d => this.seen.map(p => p.time[d] || 0)), this.seen.map(others)]);
		this.latency.show(at, [0, 1, 2].map(i => this.seen.map(p => p.latency[i])));
		this.hits.show(at, [this.seen.map(p => p.hits)]);
		this.depth.show(at, [this.seen.map(p => p.depth)]);
		this.age.show(at, [this.seen.map(p => p.age)]);
	}
}
