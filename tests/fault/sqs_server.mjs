// A server that speaks as SQS does (fauxqs), on loopback alone, whose network may fail: what the SQS engine is tried with.
//
//   node sqs_server.mjs FAUXQS-FOLDER PORT
//
// POST /_fault {}                 says until when what was handed out is hidden, as times; whose key signed the last request, and its session's token
//              {"lose": 0.3}      so many answers are lost on the way, after the request was done
//              {"forget": true}   what was sent in the last five minutes is forgotten, as it is after five minutes
//              {"ahead": 1200}    its clock goes so many seconds before the callers'
//              {"expire": true}   what was handed out and not deleted is there again, as it is when its hiding has run out
import { pathToFileURL } from "node:url";

const [folder, port] = process.argv.slice(2);
const { buildApp } = await import(pathToFileURL(folder + "/dist/app.js"));
const { SqsStore } = await import(pathToFileURL(folder + "/dist/sqs/sqsStore.js"));
const sqsStore = new SqsStore();
sqsStore.host = ""; // the URLs of queues are as they were asked for
const app = buildApp({ logger: false, stores: { sqsStore } });
let lose = 0,
	ahead = 0,
	signer = "",
	token = "";

// As AWS does, and fauxqs not: up to ten messages of a group at once, and always in their order.
const { SqsQueue } = await import(pathToFileURL(folder + "/dist/sqs/sqsStore.js"));
const one = SqsQueue.prototype.dequeueFifo;
SqsQueue.prototype.dequeueFifo = function (most, ...rest) {
	const out = [];
	this.processTimers();
	for (const group of this.fifoMessages.values()) group.sort((a, b) => (a.sequenceNumber < b.sequenceNumber ? -1 : 1));
	this.processTimers = () => {}; // time stands still meanwhile
	const locked = new Set(this.fifoLockedGroups.keys());
	while (out.length < most) {
		const held = [...this.fifoLockedGroups].filter(([group]) => !locked.has(group));
		for (const [group] of held) this.fifoLockedGroups.delete(group);
		const got = one.call(this, most - out.length, ...rest);
		for (const [group, n] of held) this.fifoLockedGroups.set(group, n + (this.fifoLockedGroups.get(group) ?? 0));
		if (!got.length) break;
		out.push(...got);
	}
	delete this.processTimers;
	return out;
};

// Of signatures only their time is looked at.
app.addHook("onRequest", (request, reply, done) => {
	if (request.url === "/") {
		signer = request.headers["authorization"]?.match(/Credential=([^/]*)/)?.[1] ?? "";
		token = request.headers["x-amz-security-token"] ?? "";
	}
	const date = request.headers["x-amz-date"]?.replace(/(....)(..)(..T..)(..)/, "$1-$2-$3:$4:");
	if (date && Math.abs(Date.now() + ahead * 1000 - Date.parse(date)) > 900_000)
		reply.code(403).send({ __type: "com.amazon.coral.service#InvalidSignatureException", message: `Signature expired: ${date}` });
	else done();
});
app.addHook("onSend", (request, reply, payload, done) => {
	if (request.url === "/" && Math.random() < lose) request.raw.socket.destroy();
	done(null, payload);
});
app.route({
	method: "POST",
	url: "/_fault",
	handler: async (request) => {
		const want = JSON.parse(Buffer.from(request.body).toString());
		if (want.lose !== undefined) lose = want.lose;
		if (want.ahead !== undefined) ahead = want.ahead;
		if (want.forget) for (const q of sqsStore.queues.values()) q.deduplicationCache.clear();
		if (want.expire) for (const q of sqsStore.queues.values()) for (const m of q.inflightMessages.values()) m.visibilityDeadline = 0;
		const held = [...sqsStore.queues.values()].flatMap((q) => [...q.inflightMessages.values()]);
		return { signer, token, hidden_until: held.map((m) => m.visibilityDeadline / 1000) };
	},
});
await app.listen({ host: "127.0.0.1", port: Number(port) });
