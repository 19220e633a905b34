// Charts as SVG of our own: the load stacked by route, and a histogram of latencies.

import {el, svg, text} from "./dom.js";
import * as f from "./format.js";

export const ROUTES = ["primary", "replica", "cache", "queue", "local"];
const LEFT = 44, BOTTOM = 20, TOP = 8;

function size(node) {
	return {w: Math.max(node.clientWidth, 200), h: Math.max(node.clientHeight, 80)};
}

// A round number at or above v.
function ceiling(v) {
	const power = 10 ** Math.floor(Math.log10(Math.max(v, 1)));
	for (const m of [1, 2, 3, 4, 5, 8, 10]) {
		if (m * power >= v)
			return m * power;
	}
	return v;
}

// The area between two rows of heights.
function band(lower, upper, x, y) {
	const up = upper.map((v, i) => `${x(i)},${y(v)}`), down = lower.map((v, i) => `${x(i)},${y(v)}`).reverse();
	return "M" + up.join("L") + "L" + down.join("L") + "Z";
}

// A line that is only there where there is something.
function line(values, x, y) {
	let d = "";
	values.forEach((v, i) => {
		if (v > 0 || values[i - 1] > 0 || values[i + 1] > 0)
			d += (i && (v > 0 || values[i - 1] > 0) ? "L" : "M") + `${x(i)},${y(v)}`;
	});
	return d.replace(/^L/, "M");
}

function stack(history) {
	const n = history.primary.length, rows = [new Array(n).fill(0)];
	for (const route of ROUTES) {
		const below = rows[rows.length - 1];
		rows.push(history[route].map((v, i) => v / history.step + below[i]));
	}
	return rows;
}

// Means of `by` neighbours, so that a narrow screen shows steps it can draw.
function thin(history, by) {
	const out = {start: history.start, step: history.step};
	for (const name of [...ROUTES, "errors", "time"]) {
		out[name] = [];
		for (let i = 0; i < history[name].length; i += by) {
			const some = history[name].slice(i, i + by);
			out[name].push(some.reduce((a, b) => a + b, 0) / some.length);
		}
	}
	out.by = by;
	return out;
}

export class LoadChart {
	constructor(node, at, legend) {
		this.node = node;
		this.at = at;
		this.cursor = null;
		legend.append(...ROUTES.map(r => el("span", {class: r}, r)));
		node.addEventListener("pointermove", e => this.point(e.clientX - node.getBoundingClientRect().left));
		node.addEventListener("pointerleave", () => this.move(null));
		node.addEventListener("blur", () => this.move(null));
		node.addEventListener("keydown", e => this.key(e));
		new ResizeObserver(() => this.draw()).observe(node);
	}

	show(history) {
		this.history = thin(history, this.node.clientWidth > 700 ? 2 : 5);
		this.draw();
	}

	get length() {
		return this.history.primary.length;
	}

	point(px) {
		if (!this.history)
			return;
		const {w} = size(this.node);
		const i = Math.round((px - LEFT) / (w - LEFT) * (this.length - 1));
		this.move(Math.min(Math.max(i, 0), this.length - 1));
	}

	key(e) {
		const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10}[e.key];
		if (!step || !this.history)
			return;
		e.preventDefault();
		const i = (this.cursor ?? this.length) + step;
		this.move(Math.min(Math.max(i, 0), this.length - 1));
	}

	move(i) {
		this.cursor = i;
		this.draw();
	}

	draw() {
		const h = this.history;
		if (!h)
			return;
		const {w, h: high} = size(this.node), rows = stack(h), last = rows[rows.length - 1];
		const max = ceiling(Math.max(4, ...last)), floor = high - BOTTOM;
		const x = i => (LEFT + i / (this.length - 1) * (w - LEFT - 1)).toFixed(1);
		const y = v => (floor - v / max * (floor - TOP)).toFixed(1);
		const root = svg("svg", {viewBox: `0 0 ${w} ${high}`, "aria-hidden": "true"});
		this.axes(root, x, y, max, w, high);
		ROUTES.forEach((route, r) => root.append(svg("path", {class: route, d: band(rows[r], rows[r + 1], x, y)})));
		if (h.errors.some(v => v > 0))
			root.append(svg("path", {class: "errors", d: line(h.errors.map(v => v / h.step), x, y)}));
		if (this.cursor !== null)
			root.append(svg("line", {class: "cursor", x1: x(this.cursor), x2: x(this.cursor), y1: TOP, y2: floor}));
		this.node.replaceChildren(root);
		this.describe(last);
	}

	axes(root, x, y, max, w, high) {
		for (const part of [0, .5, 1]) {
			root.append(svg("line", {class: "grid", x1: LEFT, x2: w, y1: y(max * part), y2: y(max * part)}),
				svg("text", {x: LEFT - 8, y: Number(y(max * part)) + 4, "text-anchor": "end"}, f.count(max * part)));
		}
		const span = this.length * this.history.step * this.history.by / 60;
		for (let m = 0; m <= span; m += w < 500 ? 2 : 1) {
			const i = (this.length - 1) * (1 - m / span);
			root.append(svg("text", {x: x(i), y: high - 4, "text-anchor": m === 0 ? "end" : m >= span ? "start" : "middle"},
				m === 0 ? "now" : `-${m} min`));
		}
	}

	describe(total) {
		const h = this.history, i = this.cursor;
		if (i === null) {
			text(this.at, "");
			return;
		}
		const parts = ROUTES.filter(r => h[r][i] > 0).map(r => `${r} ${f.count(h[r][i] / h.step)}`);
		if (h.errors[i] > 0)
			parts.push(`errors ${f.count(h.errors[i])}`);
		const mean = total[i] > 0 ? `, mean ${f.seconds(h.time[i] / h.step / total[i])}` : "";
		text(this.at, `${f.clock(h.start + i * h.step * h.by)}: ${f.count(total[i])} a second${mean}. ${parts.join(", ")}`);
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
