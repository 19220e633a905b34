// Charts over time, drawn by uPlot (vendor/), with a cursor by pointer and by arrow keys that is read out; and a histogram of latencies.

import {el, svg, text} from "./dom.js";
import * as f from "./format.js";

export const ROUTES = ["primary", "replica", "cache", "queue", "local"];
const LEFT = 44, BOTTOM = 20, TOP = 8; // of the histogram
const MINUTES = {hour: "2-digit", minute: "2-digit"}, MINUTES_WIDE = 44, SECONDS_WIDE = 76; // with a gap
const dark = matchMedia("(prefers-color-scheme: dark)");

function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

// Sums from the first series up, so that each is drawn as a band on those before it.
function stack(rows) {
	const out = [];
	for (const row of rows)
		out.push(row.map((v, i) => (v || 0) + (out.length ? out[out.length - 1][i] : 0)));
	return out;
}

// series: [{name, colour, line?}]; options: {stacked, format(value), summary(i) → more words}
export class TimeChart {
	constructor(id, series, options) {
		this.node = document.getElementById(id);
		this.at = document.getElementById(id + "-at");
		this.options = options;
		this.series = series;
		this.node.addEventListener("keydown", e => this.key(e));
		this.node.addEventListener("blur", () => this.move(null));
		new ResizeObserver(() => this.resize()).observe(this.node);
		dark.addEventListener("change", () => this.make());
		this.name();
	}

	name() {
		const legend = document.getElementById(this.node.id + "-legend");
		legend.replaceChildren(...this.series.map((s, i) => {
			const swatch = el("i");
			swatch.style.background = colour(s.colour);
			return el("span", {title: s.title}, swatch, s.name);
		}));
	}

	// Another set of series: the chart is made anew with its next data.
	setSeries(series) {
		if (JSON.stringify(series) === JSON.stringify(this.series))
			return;
		this.series = series;
		this.drop();
		this.name();
	}

	drop() {
		this.plot?.destroy();
		this.plot = null;
	}

	size() {
		return {width: Math.max(this.node.clientWidth, 200), height: Math.max(this.node.clientHeight, 80)};
	}

	resize() {
		this.plot?.setSize(this.size());
	}

	// times in seconds; rows: one a series, null where nothing is known
	show(times, rows) {
		this.times = times;
		this.rows = rows;
		if (times.length < 2)
			return;
		if (!this.plot)
			this.make();
		else
			this.plot.setData(this.data());
		this.node.dataset.points = String(times.length);
	}

	data() {
		const heights = this.options.stacked ? stack(this.rows) : this.rows;
		return [this.times, ...heights.slice().reverse()]; // the highest band first, the others over it
	}

	make() {
		if (!this.times || this.times.length < 2)
			return;
		this.drop();
		this.name();
		const axis = {stroke: colour("soft"), grid: {stroke: colour("line"), width: 1}, ticks: {show: false}, font: "12px system-ui, sans-serif"};
		const format = this.options.format;
		const lines = this.series.map(s => this.options.stacked && !s.line
			? {stroke: colour(s.colour), fill: colour(s.colour), width: 0, points: {show: false}}
			: {stroke: colour(s.colour), width: 2, points: {show: false}, spanGaps: true});
		this.plot = new uPlot({
			...this.size(), legend: {show: false}, padding: [8, 26, 0, 0],
			cursor: {drag: {x: false, y: false}, points: {show: false}, y: false},
			scales: {x: {time: true}, y: {range: (u, lo, hi) => [0, Math.max(hi || 0, this.options.least || 0) * 1.08 || 1]}},
			axes: [{...axis, size: 26, space: (u, i, lo, hi, wide) => (hi - lo) / wide * SECONDS_WIDE < 60 ? SECONDS_WIDE : MINUTES_WIDE,
				values: (u, splits, i, space, step) => splits.map(t => t > u.scales.x.max ? "" : f.clock(t, step < 60 ? undefined : MINUTES))},
				{...axis, size: 58, values: (u, splits) => splits.map(v => format(v))}],
			series: [{}, ...lines.reverse()],
			hooks: {setCursor: [u => this.describe(u.cursor.idx)]},
		}, this.data(), this.node);
		this.plot.root.setAttribute("aria-hidden", "true");
	}

	key(e) {
		const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10}[e.key];
		if (!step || !this.plot)
			return;
		e.preventDefault();
		const i = (this.plot.cursor.idx ?? this.times.length) + step;
		this.move(Math.min(Math.max(i, 0), this.times.length - 1));
	}

	move(i) {
		this.plot?.setCursor(i === null ? {left: -10, top: -10} : {left: this.plot.valToPos(this.times[i], "x"), top: 1});
	}

	describe(i) {
		if (i === null || i === undefined) {
			text(this.at, "");
			return;
		}
		const parts = this.series.map((s, n) => [s.name, this.rows[n][i]]).filter(([, v]) => v !== null && v !== undefined && (v > 0 || !this.options.stacked));
		const words = parts.map(([name, v]) => `${name} ${this.options.format(v)}`).join(", ");
		text(this.at, `${f.clock(this.times[i])}: ${words || "nothing"}${this.options.summary ? this.options.summary(i) : ""}`);
	}
}

// buckets: [{from, to, count}], widths by octaves: drawn on a logarithmic axis.
export function histogram(buckets) {
	const w = Math.max(240, Math.min(960, innerWidth - 80)), high = 128, floor = high - BOTTOM;
	const lo = Math.log2(Math.max(buckets[0].from, 1e-6)), hi = Math.log2(buckets[buckets.length - 1].to);
	const x = s => LEFT + (Math.log2(Math.max(s, 1e-6)) - lo) / Math.max(hi - lo, .25) * (w - LEFT - 30);
	const max = Math.max(...buckets.map(b => b.count));
	const root = svg("svg", {viewBox: `0 0 ${w} ${high}`, role: "img", "aria-label": "Histogram of latencies"});
	root.append(svg("line", {class: "grid", x1: LEFT, x2: w, y1: floor, y2: floor}),
		svg("text", {x: LEFT - 8, y: TOP + 8, "text-anchor": "end"}, f.count(max)));
	for (const b of buckets) {
		const tall = Math.max(1.5, b.count / max * (floor - TOP)), left = x(b.from), right = x(b.to);
		root.append(svg("rect", {class: "bar", x: left, width: Math.max(right - left - 1, 1), y: floor - tall, height: tall},
			svg("title", {}, `${f.seconds(b.from)} to ${f.seconds(b.to)}: ${b.count}`)));
	}
	const step = Math.max(1, Math.ceil((hi - lo) / (w / 110)));
	for (let o = Math.ceil(lo); o <= hi; o += step)
		root.append(svg("text", {x: x(2 ** o), y: high - 5, "text-anchor": "middle"}, f.seconds(2 ** o)));
	return el("div", {class: "plot"}, root);
}
