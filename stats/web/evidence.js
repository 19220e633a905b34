// A finding's evidence: numbers, and what is foretold or who holds a lock as tables.

import {el, numbers, table} from "./dom.js";
import * as f from "./format.js";

const SKIP = new Set(["example", "parent_text", "parent_digest", "table", "reason", "prediction", "holders"]);

const TTL_COLUMNS = [
	{name: "Time to live", num: true, value: t => f.seconds(t.ttl)},
	{name: "Hit ratio", num: true, value: t => f.share(t.hit_ratio, 1)},
	{name: "Time saved", num: true, value: t => f.seconds(t.time_saved)},
];

const HOLDER_COLUMNS = [
	{name: "Held by", sql: true, value: h => h.text || "not known: it did not come through here"},
	{name: "Account", value: h => h.user || "–"},
	{name: "Table", value: h => h.table || "–"},
	{name: "Waits", num: true, value: h => f.count(h.waits)},
	{name: "While idle", num: true, value: h => f.count(h.while_idle)},
	{name: "Waited", num: true, value: h => f.seconds(h.waited)},
];

function list(fields) {
	const dl = el("dl", {class: "numbers"});
	numbers(dl, fields);
	return dl;
}

// A table that scrolls by itself, with a name for those who cannot see it.
export function scrolled(label, columns, rows, key) {
	const node = el("table");
	table(node, columns, rows, {key});
	return el("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": label}, node);
}

function prediction(p) {
	const fields = Object.entries(p).filter(([k, v]) => k !== "by_ttl" && v !== null).map(([k, v]) => f.field(k, v));
	const parts = [el("h3", {}, "What the rule would do"), list(fields)];
	if (p.by_ttl)
		parts.push(scrolled("What the rule would do", TTL_COLUMNS, p.by_ttl, t => t.ttl));
	return parts;
}

export function evidence(e) {
	const parts = [el("h3", {}, "Evidence"),
		list(Object.entries(e).filter(([k, v]) => !SKIP.has(k) && v !== null).map(([k, v]) => f.field(k, v)))];
	if (e.prediction)
		parts.push(...prediction(e.prediction));
	if (e.holders?.length)
		parts.push(el("h3", {}, "Who holds the lock"),
			scrolled("Who holds the lock", HOLDER_COLUMNS, e.holders, h => [h.digest, h.user, h.table, h.index].join(" ")));
	return parts;
}
