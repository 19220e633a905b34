// What each answer of the API looks like. Every field may be missing: an older instance, a part that is switched off.

import {$, code, el, keyed, numbers, table, text} from "./dom.js";
import {evidence, scrolled} from "./evidence.js";
import {histogram, ROUTES} from "./chart.js";
import * as f from "./format.js";

function mix(routed) {
	const total = ROUTES.reduce((n, r) => n + (routed[r] || 0), 0);
	const node = el("span", {class: "mix", role: "img"});
	const words = [];
	for (const r of ROUTES) {
		if (!routed[r])
			continue;
		const part = el("span", {class: r});
		part.style.flex = String(routed[r]);
		node.append(part);
		words.push(`${r} ${f.share(routed[r], total)}`);
	}
	node.title = words.join(", ");
	node.setAttribute("aria-label", node.title);
	return node;
}

function flags(q) {
	const node = el("span");
	const add = (cls, words, title) => node.append(el("span", {class: "tag " + cls, title}, words));
	if (q.no_index + q.no_good_index > 0)
		add("warn-text", "no index", `${q.no_index + q.no_good_index} of ${q.calls} calls`);
	if (q.errors > 0)
		add("bad-text", f.count(q.errors) + " err", `${q.errors} of ${q.calls} calls failed`);
	if (q.slow > 0)
		add("", f.count(q.slow) + " slow", `${q.slow} of ${q.calls} calls were slow`);
	return node;
}

// By the server's own count, or about, by the plan's estimate.
function examined(q) {
	return (q.rows_examined_from === "plan" ? "≈ " : "") + f.count(q.rows_examined);
}

const QUERY_COLUMNS = [
	{name: "Statement", sql: true, value: q => q.text},
	{name: "Calls", num: true, sort: "calls", value: q => f.count(q.calls)},
	{name: "Total time", num: true, sort: "total_time", value: q => f.seconds(q.total_time)},
	{name: "Mean", num: true, value: q => f.seconds(q.mean_time)},
	{name: "p99", num: true, sort: "p99", value: q => f.seconds(q.p99)},
	{name: "Rows", num: true, value: q => f.count(q.rows_sent + q.rows_affected)},
	{name: "Examined", num: true, sort: "rows_examined", value: examined},
	{name: "Cache", num: true, value: q => f.share(q.cache_hits, q.cache_hits + q.cache_misses)},
	{name: "Route", value: q => mix(q.routed)},
	{name: "Signs", value: flags},
];

// Accounts and schemas to choose from: all that were seen here.
const seen = {user: new Set(), schema: new Set()};

export function choices(answer, spent) {
	for (const q of answer?.queries || []) {
		q.users?.forEach(name => seen.user.add(name));
		q.schemas?.forEach(name => seen.schema.add(name));
	}
	spent?.by_user?.forEach(r => r.name && seen.user.add(r.name));
	for (const [of, names] of Object.entries(seen)) {
		const node = $("of-" + of);
		if (node.options.length !== names.size + 1) {
			const chosen = node.value;
			node.replaceChildren(node.options[0], ...[...names].sort().map(name => el("option", {value: name}, name)));
			node.value = chosen;
		}
	}
}

// of: {user, schema}, whose statements these are; "": everybody's.
export function queries(answer, of, sort, onSort, onRow) {
	const rows = answer.queries || [];
	text($("queries-n"), answer.digests > rows.length ? `${rows.length} of ${answer.digests}` : String(rows.length));
	$("queries-none").hidden = rows.length > 0;
	text($("queries-none"), of.user || of.schema ? "No statement of these has come through." : "No statement has come through yet.");
	table($("queries-table"), QUERY_COLUMNS, rows, {key: q => q.digest, sort, onSort, onRow: q => onRow(q.digest)});
}

// open(digest) shows that statement; none where it is shown already.
function findingBody(d, open) {
	const e = d.evidence || {};
	const parts = [el("p", {}, d.fix_text || "")];
	if (d.kind === "heavy_aggregate" && e.reason)
		parts.push(el("p", {}, `The plan: ${e.reason}.`));
	if (d.predicted)
		parts.push(el("p", {}, `With the fix, ${f.seconds(d.predicted.time_saved)} would have been saved and ${f.seconds(d.predicted.time_left)} be left.`));
	const links = open ? [["The statement", d.digest], ["The list it follows", e.parent_digest]].filter(([, digest]) => digest) : [];
	if (d.fix_sql)
		parts.push(code(d.fix_sql, "the SQL"));
	if (d.fix_statement)
		parts.push(el("p", {}, "And, as neither helps alone:"), code(d.fix_statement, "the statement"));
	if (d.fix_config)
		parts.push(code(d.fix_config, "the configuration"));
	if (e.parent_text)
		parts.push(el("h3", {}, "The list it runs over"), code(e.parent_text, "the list's statement"));
	parts.push(...evidence(e));
	if (e.example)
		parts.push(el("h3", {}, "Example"), code(e.example, "the example"));
	parts.push(el("p", {class: "links"}, ...links.map(([name, digest]) => {
		const button = el("button", {type: "button"}, name);
		button.addEventListener("click", () => open(digest));
		return button;
	})));
	parts.push(el("p", {class: "quiet"}, `Seen from ${f.moment(d.first_seen)} to ${f.moment(d.last_seen)}.`));
	return parts;
}

function makeFinding(open) {
	const details = el("details", {}, el("summary", {}, el("span", {class: "cost", title: "Time it costs"}),
		el("span", {class: "kind"}), el("span", {class: "title"}), el("span", {class: "text sql"})),
		el("div", {class: "body"}));
	details.addEventListener("toggle", () => {
		if (details.open)
			details.lastElementChild.replaceChildren(...findingBody(details.finding, open));
	});
	return el("li", {}, details);
}

function updateFinding(li, d) {
	const details = li.firstElementChild, [cost, kind, title, sql] = details.firstElementChild.children;
	text(kind, f.kind(d.kind));
	details.finding = d;
	text(cost, f.seconds(d.cost_seconds));
	text(title, d.title);
	text(sql, d.text || "");
	sql.title = d.text || "";
}

function findingKey(d) {
	return [d.kind, d.digest, d.evidence?.parent_digest, d.evidence?.route].join(" ");
}

export function findings(answer, open) {
	const list = answer.findings || [];
	text($("findings-n"), list.length ? String(list.length) : "");
	$("findings-none").hidden = list.length > 0;
	keyed($("findings-list"), list, findingKey, () => makeFinding(open), updateFinding);
}

const ACCOUNT_COLUMNS = [
	{name: "Schema", value: a => a.schema || "–"},
	{name: "Account", value: a => a.user || "–"},
	{name: "Calls", num: true, value: a => f.count(a.calls)},
	{name: "Errors", num: true, value: a => f.count(a.errors)},
	{name: "Total time", num: true, value: a => f.seconds(a.total_time)},
	{name: "Rows", num: true, value: a => f.count(a.rows_sent + a.rows_affected)},
];

export function detail(q) {
	const body = $("detail-body"), dl = el("dl", {class: "numbers"});
	text($("detail-h"), q.digest);
	numbers(dl, [
		["calls", f.count(q.calls)], ["errors", f.count(q.errors), q.errors ? "bad-text" : ""],
		["total time", f.seconds(q.total_time)], ["mean", f.seconds(q.mean_time)], ["p50", f.seconds(q.p50)],
		["p95", f.seconds(q.p95)], ["p99", f.seconds(q.p99)], ["p99.9", f.seconds(q.p999)], ["longest", f.seconds(q.max_time)],
		["waiting for a connection", f.seconds(q.wait_time)], ["to the server's first byte", f.seconds(q.server_time)],
		["to its last", f.seconds(q.answer_time)], ["retries", f.count(q.retries)], ["not stored", f.count(q.cache_refused)],
		["servers", (q.servers || []).map(s => `${s.addr} (${f.count(s.calls)})`).join(", ") || "–"],
		["error codes", (q.errors_by_code || []).map(e => `${e.code} (${f.count(e.count)})`).join(", ") || "–"],
		["rows sent", f.count(q.rows_sent)], ["rows examined" + (q.rows_examined_from === "plan" ? " (estimated)" : ""), f.count(q.rows_examined)],
		["rows affected", f.count(q.rows_affected)], ["bytes out", f.bytes(q.bytes_out)],
		["cache hits", f.share(q.cache_hits, q.cache_hits + q.cache_misses)], ["without index", f.count(q.no_index)],
		["warnings", f.count(q.warnings)], ["schema", q.schema || "–"], ["users", (q.users || []).join(", ") || "–"],
		["routes", (q.tags || []).join(", ") || "–"], ["first seen", f.moment(q.first_seen)], ["last seen", f.moment(q.last_seen)],
	]);
	const parts = [code(q.text, "the statement"), dl];
	if (q.histogram?.length)
		parts.push(el("h3", {}, "Latency"), histogram(q.histogram));
	if (q.accounts?.length > 1)
		parts.push(el("h3", {}, "By schema and account"), scrolled("By schema and account", ACCOUNT_COLUMNS, q.accounts, a => JSON.stringify([a.schema, a.user])));
	for (const d of q.findings || [])
		parts.push(el("h3", {}, `${f.kind(d.kind)}: ${d.title}`), ...findingBody(d));
	if (q.samples?.length)
		parts.push(el("h3", {}, "Slowest sample"), ...q.samples.map(s => code(s.sql, "the sample")));
	if (q.samples_allowed === false)
		parts.push(el("p", {class: "quiet"}, "Samples and plans are shown on loopback or with the admin token, while stats.samples is on."));
	if (q.plan)
		parts.push(el("h3", {}, "Plan"), code(JSON.stringify(q.plan, null, 2), "the plan"));
	body.replaceChildren(...parts);
}

function stateTag(state) {
	const good = ["up", "online", "running", "ok", "active", "idle"], bad = ["down", "failed", "halted", "error", "lost"];
	const cls = good.includes(state) ? "good-text" : bad.includes(state) ? "bad-text" : "warn-text";
	return el("span", {class: "tag " + cls}, state || "unknown");
}

const BACKEND_COLUMNS = [
	{name: "Address", value: b => b.addr},
	{name: "Role", value: b => b.role || "–"},
	{name: "State", value: b => stateTag(b.state)},
	{name: "Lag", num: true, value: b => b.role === "primary" ? "–" : f.seconds(b.lag)},
	{name: "Latency", num: true, value: b => f.seconds(b.latency)},
	{name: "Active", num: true, value: b => f.count(b.pool?.active)},
	{name: "Idle", num: true, value: b => f.count(b.pool?.idle)},
	{name: "Pool limit", num: true, value: b => f.count(b.pool?.max)},
	{name: "Waiting", num: true, value: b => f.count(b.pool?.waiting)},
	{name: "Queries", num: true, value: b => f.count(b.queries)},
	{name: "Errors", num: true, value: b => f.count(b.errors)},
];

export function backends(answer) {
	table($("backends-table"), BACKEND_COLUMNS, answer.backends || [], {key: b => b.addr});
}

// {table: "shop.products", verb: "select"} as "table shop.products, verb select"
function match(m) {
	if (typeof m !== "object" || m === null)
		return String(m ?? "–");
	return Object.entries(m).map(([k, v]) => `${k} ${typeof v === "object" ? match(v) : v}`).join(", ");
}

const RULE_COLUMNS = [
	{name: "Rule", sql: true, value: r => match(r.match)},
	{name: "ttl", num: true, value: r => f.seconds(r.ttl)},
	{name: "Hits", num: true, value: r => f.count(r.hits)},
	{name: "Misses", num: true, value: r => f.count(r.misses)},
	{name: "Ratio", num: true, value: r => f.share(r.hits, r.hits + r.misses)},
];

const FORETOLD_HITS = [
	{name: "Statement under a rule", sql: true, value: p => p.text},
	{name: "ttl", num: true, value: p => f.seconds(p.ttl)},
	{name: "Foretold", num: true, value: p => f.share(p.predicted_hit_ratio, 1)},
	{name: "Hit ratio", num: true, value: p => f.share(p.hit_ratio, 1)},
	{name: "Reads", num: true, value: p => f.count(p.reads)},
];

const FORETOLD_BATCHES = [
	{name: "Statement under a rule", sql: true, value: p => p.text},
	{name: "Rows a batch, foretold", num: true, value: p => f.count(p.predicted_batch_rows)},
	{name: "Rows a batch, of all that is queued", num: true, value: p => f.count(p.mean_batch_rows)},
	{name: "Queued", num: true, value: p => f.count(p.queued)},
];

// What was foretold of the statements that a rule has taken over since, beside what came of it.
function foretold(node, columns, list, open) {
	table(node, columns, list || [], {key: p => p.digest, onRow: p => open(p.digest)});
}

export function cache(c, open) {
	const hits = (c.hits || 0) + (c.hits_redis || 0), m = c.memory || {}, r = c.redis || {};
	const refused = Object.entries(c.refused || {}).filter(([, n]) => n > 0);
	const causes = Object.entries(c.invalidations_by || {}).filter(([cause, n]) => n > 0 && cause !== "write");
	const redis = !r.configured ? "not used" : !r.up ? "down" : r.bus_live === false ? "bus silent" : "up";
	numbers($("cache-numbers"), [
		["hit ratio", f.share(hits, hits + (c.misses || 0))], ["hits", f.count(c.hits)], ["misses", f.count(c.misses)],
		["entries", f.count(m.entries)], ["memory", `${f.bytes(m.resident)} of ${f.bytes(m.limit)}`],
		["time saved", f.seconds(c.time_saved)], ["fills", f.count(c.fills)], ["evictions", f.count(c.evictions)],
		["invalidations", f.count(c.invalidations)], ...causes.map(([cause, n]) => ["by " + cause, f.count(n)]),
		["Redis", redis, redis === "up" ? "good-text" : redis === "not used" ? "" : "bad-text"],
		["hits in Redis", f.count(c.hits_redis)], ...refused.map(([why, n]) => ["refused: " + why, f.count(n)]),
	]);
	table($("cache-rules"), RULE_COLUMNS, c.rules || [], {key: rule => JSON.stringify(rule.match)});
	foretold($("cache-foretold"), FORETOLD_HITS, c.predictions, open);
}

export function queue(q, open) {
	const tag = stateTag(q.state);
	$("queue-state").className = tag.className;
	text($("queue-state"), q.state || "off");
	text($("queue-reason"), q.reason || "");
	numbers($("queue-numbers"), [
		["waiting", f.count(q.depth)], ["oldest", f.seconds(q.oldest_age)], ["size", f.bytes(q.bytes)],
		["applied a second", f.count(q.drain_rate)], ["acknowledged", f.count(q.enqueued)], ["applied", f.count(q.applied)],
		["dead letters", f.count(q.dead), q.dead ? "bad-text" : ""], ["retries", f.count(q.retries)],
		["batches", f.count(q.batches)], ["rows a batch", f.count(q.batches ? q.applied / q.batches : null)],
		["fsyncs", f.count(q.fsync?.count)], ["mean fsync", f.seconds(q.fsync?.mean)],
	]);
	// What the queue gathered is known of all of it, not of each statement.
	const gathered = q.batches ? q.mean_batch_rows : null;
	foretold($("queue-foretold"), FORETOLD_BATCHES, (q.predictions || []).map(p => ({...p, mean_batch_rows: gathered})), open);
}

const CLIENT_COLUMNS = [
	{name: "Id", num: true, value: c => String(c.id)},
	{name: "User", value: c => c.user || "–"},
	{name: "Address", value: c => c.address || "–"},
	{name: "State", value: c => stateTag(c.state)},
	{name: "Pinned", value: c => c.pinned || "–"},
	{name: "Backend", value: c => c.backend || "–"},
	{name: "Age", num: true, value: c => f.seconds(c.age)},
	{name: "Statement", sql: true, value: c => c.statement || ""},
];

export function clients(answer) {
	const list = answer.clients || [];
	text($("clients-n"), list.length > 100 ? `100 of ${list.length}` : String(list.length));
	table($("clients-table"), CLIENT_COLUMNS, list.slice(0, 100), {key: c => c.id});
}
