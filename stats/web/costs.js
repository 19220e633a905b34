// Who uses the database: its time and its price, by route, service, account or client host.

import {$, el, table, text} from "./dom.js";
import * as f from "./format.js";

const BY = {by_route: "Route", by_service: "Service", by_user: "Account", by_host: "Client host"};
let by = null, chosen = false, answer = null;

function named(rows) {
	return (rows || []).some(r => r.name);
}

function columns(priced, held) {
	return [
		{name: BY[by], value: r => r.name || "no name"},
		{name: "Calls", num: true, value: r => f.count(r.calls)},
		{name: "Errors", num: true, value: r => f.count(r.errors)},
		{name: "Time at servers", num: true, value: r => f.seconds(r.server_time)},
		{name: "Share", num: true, value: r => f.share(r.share, 1)},
		...priced ? [{name: "Cost an hour", num: true, value: r => f.price(r.cost_per_hour)}] : [],
		...held ? [{name: "A CDN could hold it", num: true, value: r => r.cdn_ttl ? f.seconds(r.cdn_ttl) : ""}] : [],
	];
}

function show() {
	const rows = answer[by] || [], priced = answer.cost_per_hour > 0, held = rows.some(r => r.cdn_ttl);
	const shape = [by, priced, held].join(" "), node = $("costs-table");
	if (node.dataset.shape !== shape)
		node.replaceChildren();
	node.dataset.shape = shape;
	table(node, columns(priced, held), rows, {key: r => r.name || ""});
	text($("costs-lead"), priced ? `${f.price(answer.cost_per_hour)} an hour, split by the time servers were at work.`
		: "Split by the time servers were at work.");
	text($("costs-cdn"), held ? "A CDN could hold the pages of a route for the time given: all its statements are reads that the cache could answer, and their tables are seldom written." : "");
	for (const button of $("costs-by").children)
		button.setAttribute("aria-pressed", String(button.dataset.by === by));
}

function choose(key) {
	by = key;
	chosen = true;
	show();
}

export function costs(c) {
	answer = c;
	if (!chosen)
		by = Object.keys(BY).find(key => named(c[key])) || "by_user";
	if (!$("costs-by").children.length)
		$("costs-by").append(...Object.entries(BY).map(([key, name]) => {
			const button = el("button", {type: "button", "data-by": key}, name);
			button.addEventListener("click", () => choose(key));
			return button;
		}));
	show();
}
