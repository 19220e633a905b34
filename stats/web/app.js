// Asks the API every two seconds and shows what it says. Nothing is kept but the last few answers, for rates.

import {$, numbers, text} from "./dom.js";
import {ROUTES} from "./chart.js";
import {Charts} from "./charts.js";
import {costs} from "./costs.js";
import * as f from "./format.js";
import * as views from "./views.js";

const EVERY_MS = 2000, KEEP = 6; // rates over the last ten seconds
const PATIENCE_MS = 8000; // an instance that takes longer does not answer
const charts = new Charts();
const past = []; // {overview, cache}
const HEAVIEST = "total_time";
const here = () => location.pathname + location.search;
let shown = null; // the statement that the dialog shows; null: it is closed, and whoever did that has seen to the address
let sort = HEAVIEST, of = {user: "", schema: ""}, paused = false, busy = false, again = false, refused = false;
let token = sessionStorage.getItem("suimon-token") || "";

class Refused extends Error {}
class Missing extends Error {}

async function get(path) {
	const answer = await fetch(path, {headers: token ? {Authorization: "Bearer " + token} : {}, cache: "no-store",
		signal: AbortSignal.timeout(PATIENCE_MS)});
	if (answer.status === 401 || answer.status === 403)
		throw new Refused(path);
	if (answer.status === 404)
		throw new Missing(path);
	if (!answer.ok)
		throw new Error(`${path}: ${answer.status}`);
	return answer.json();
}

// null where that part does not answer; the page shows the rest.
async function tryGet(path) {
	try {
		return await get(path);
	} catch (e) {
		if (e instanceof Refused || e instanceof TypeError || e.name === "TimeoutError")
			throw e;
		return null;
	}
}

function sum(overview) {
	return ROUTES.reduce((n, r) => n + (overview.queries[r] || 0), 0);
}

// The q-quantile of what lies between two cumulative counts.
function quantile(now, then, q) {
	const counts = now.counts.map((n, i) => n - (then ? then.counts[i] : 0));
	const total = counts[counts.length - 1];
	if (!total)
		return null;
	const i = counts.findIndex(n => n >= q * total), below = i ? counts[i - 1] : 0;
	const from = i ? now.bounds[i - 1] : 0, part = counts[i] > below ? (q * total - below) / (counts[i] - below) : 1;
	return from + (now.bounds[i] - from) * part;
}

// What the older of two answers lacks to the newer, a second.
function rate(now, then, value) {
	const span = then ? now.now - then.now : now.uptime;
	return span > 0 ? (value(now) - (then ? value(then) : 0)) / span : null;
}

function hitRatio(cache, then) {
	const hits = c => (c?.hits || 0) + (c?.hits_redis || 0), all = c => hits(c) + (c?.misses || 0);
	const lately = all(cache) - all(then);
	if (lately > 0)
		return f.share(hits(cache) - hits(then), lately);
	return f.share(hits(cache), all(cache));
}

function headline(overview, cache, queue) {
	const then = past.length ? past[0].overview : null, errors = rate(overview, then, o => o.errors);
	const latency = q => f.seconds(quantile(overview.latency, then?.latency, q) ?? quantile(overview.latency, null, q));
	const behind = queue?.depth > 0;
	numbers($("headline"), [
		["Statements/s", f.count(rate(overview, then, sum)), "", `${f.count(sum(overview))} since start`],
		["Median latency", latency(.5), "", ""],
		["p99 latency", latency(.99), "", ""],
		["Cache hit ratio", cache ? hitRatio(cache, past[0]?.cache) : "–", "", cache?.memory ? f.bytes(cache.memory.bytes) : ""],
		["Queue depth", f.count(queue?.depth), "", behind ? `oldest ${f.seconds(queue.oldest_age)}` : ""],
		["Errors/s", f.count(errors), errors > 0 ? "bad-text" : "", `${f.count(overview.errors)} since start`],
		["Clients", f.count(overview.client_connections), "", `${f.count(overview.upstream_connections)} to servers`],
	]);
	text($("about"), `${overview.version || ""} · up ${f.seconds(overview.uptime)}`);
}

function remember(overview, cache) {
	if (past.length && past[past.length - 1].overview.uptime > overview.uptime)
		past.length = 0; // restarted meanwhile
	past.push({overview, cache});
	if (past.length > KEEP)
		past.shift();
}

function status(cls, words) {
	$("status").className = "dot " + cls;
	text($("status"), words);
}

// The list as it was asked for.
function list() {
	const query = new URLSearchParams({sort, limit: 50});
	for (const [key, name] of Object.entries(of))
		if (name)
			query.set(key, name);
	return "api/queries?" + query;
}

async function refresh() {
	const all = sort === HEAVIEST && !of.user && !of.schema, whose = of; // that list is what the chart shows, too
	const [overview, queries, heaviest, findings, spent, backends, cache, queue, clients] = await Promise.all([
		tryGet("api/overview"), tryGet(list()),
		all ? null : tryGet(`api/queries?sort=${HEAVIEST}&limit=50`), tryGet("api/findings"), tryGet("api/costs"), tryGet("api/backends"), tryGet("api/cache"), tryGet("api/queue"), tryGet("api/clients")]);
	if (overview) {
		headline(overview, cache, queue);
		charts.add(overview, all ? queries : heaviest, cache, queue, quantile, past[past.length - 1]?.overview);
		remember(overview, cache);
	}
	if (queries)
		views.queries(queries, whose, sort, setSort, open);
	views.choices(all ? queries : heaviest, spent);
	if (findings)
		views.findings(findings, open);
	if (spent)
		costs(spent);
	if (backends)
		views.backends(backends);
	if (cache)
		views.cache(cache, open);
	if (queue)
		views.queue(queue, open);
	if (clients)
		views.clients(clients);
	status(overview && queries ? "good" : "warn", overview && queries ? "live" : "in part");
}

// The token: what changes nothing is shown without it, but for values of statements.
function ask(yes) {
	$("login").hidden = !yes;
	$("ask").setAttribute("aria-expanded", String(yes));
}

async function tick() {
	if (busy || paused || document.hidden)
		return;
	busy = true;
	try {
		await refresh();
		if (refused)
			ask(false);
		refused = false;
		if (asked() && asked() !== shown) // the page was opened by its address, or it could not be shown before
			await show();
	} catch (e) {
		refused = e instanceof Refused;
		if (refused)
			ask(true);
		status("bad", e instanceof Refused ? "token needed" : "no answer");
	} finally {
		busy = false;
	}
	if (again)
		anew();
}

// Something else was chosen: at once, or once what is under way is over.
function anew() {
	again = busy;
	tick();
}

function setSort(by) {
	sort = by;
	anew();
}

for (const key of Object.keys(of)) {
	$("of-" + key).addEventListener("change", e => {
		of = {...of, [key]: e.target.value};
		anew();
	});
}

// A statement has an address, #query/DIGEST, and so a place in the history: going there opens it, leaving it closes it.
function asked() {
	return /^#query\/((0x)?[0-9a-f]{1,16})$/i.exec(location.hash)?.[1];
}

function hide() {
	shown = null;
	$("detail").close();
}

function open(digest) {
	if (asked() === digest)
		show();
	else
		location.hash = "query/" + digest;
}

async function show() {
	const digest = asked();
	if (!digest) {
		hide();
		return;
	}
	try {
		const query = await get("api/queries/" + digest);
		if (asked() !== digest)
			return; // left meanwhile
		views.detail(query);
		shown = digest;
		if (!$("detail").open)
			$("detail").showModal();
	} catch (e) {
		if (asked() !== digest)
			return;
		if (e instanceof Missing) {
			hide();
			history.replaceState(null, "", here());
		}
		status("warn", e instanceof Missing ? "that query is no longer known" : "no answer"); // then it is tried again with the figures
	}
}

$("pause").addEventListener("click", () => {
	paused = !paused;
	$("pause").setAttribute("aria-pressed", String(paused));
	text($("pause"), paused ? "Resume" : "Pause");
	status(paused ? "warn" : "good", paused ? "paused" : "live");
	tick();
});
$("ask").addEventListener("click", () => {
	ask($("login").hidden);
	if (!$("login").hidden)
		$("token").focus();
});
$("login").addEventListener("submit", e => {
	e.preventDefault();
	token = $("token").value;
	sessionStorage.setItem("suimon-token", token);
	ask(false);
	tick();
});
$("detail").addEventListener("click", e => {
	if (e.target === $("detail"))
		$("detail").close();
});
$("detail").addEventListener("close", () => {
	if (shown && shown === asked())
		history.pushState(null, "", here());
	shown = null;
});
addEventListener("hashchange", show);
document.addEventListener("visibilitychange", tick);
setInterval(tick, EVERY_MS);
tick();
