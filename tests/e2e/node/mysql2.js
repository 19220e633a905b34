// What an application does with mysql2: prints one JSON line an answer, the same direct and through suimon.
'use strict';

const path = require('path');
const mysql = require(path.join(process.env.NODE_MODULES, 'mysql2/promise'));

// With an authority's file behind the schema it connects by TLS.
const [host, port, user, password, database, ca] = process.argv.slice(2);
const say = (what, value) => console.log(what + ' ' + JSON.stringify(value, (k, v) => typeof v === 'bigint' ? v.toString() : v));

async function main() {
	const c = await mysql.createConnection({host, port: Number(port), user, password, database, multipleStatements: true,
		supportBigNumbers: true, bigNumberStrings: true,
		ssl: ca ? {ca: require('fs').readFileSync(ca), servername: 'localhost'} : undefined});
	const run = async (kind, sql, values) => {
		try {
			const [rows, fields] = await c[kind](sql, values);
			say(kind + ' ' + sql, [rows, Array.isArray(fields) ? fields.flat().map(f => f && [f.name, f.columnType, f.columnLength, f.flags]) : null]);
		} catch (e) {
			say(kind + ' ' + sql, [e.code, e.errno, e.sqlState, e.sqlMessage]);
		}
	};
	await run('query', 'CREATE TABLE js (id BIGINT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(50), d DATETIME(3), f DOUBLE, j JSON, b BLOB)');
	for (let n = 0; n < 5; n++)
		await run('execute', 'INSERT INTO js (s, d, f, j, b) VALUES (?, ?, ?, ?, ?)',
			['水門 ' + n, new Date(1700000000000 + n), n / 3, JSON.stringify({n}), Buffer.from([0, 1, 255, n])]);
	await run('execute', 'INSERT INTO js (s, d) VALUES (?, ?)', [null, null]);
	for (const id of [1, 2, 6, 99])
		await run('execute', 'SELECT * FROM js WHERE id = ?', [id]);
	await run('execute', 'SELECT s FROM js WHERE s LIKE ? ORDER BY id', ['%門%']);
	await run('query', 'SELECT COUNT(*) n, SUM(f) f FROM js');
	await run('query', 'SELECT 1 a; SELECT 2 b; UPDATE js SET f = 0 WHERE id = 1');
	await run('execute', 'SELECT missing FROM js', []);
	await run('query', 'SELECT 1 +');
	await run('execute', 'UPDATE js SET s = ? WHERE id < ?', ['changed', 3]);
	await run('execute', 'SELECT REPEAT(?, 100000) r', ['z']);
	await c.beginTransaction();
	await run('execute', 'DELETE FROM js WHERE id > ?', [2]);
	await run('execute', 'SELECT COUNT(*) n FROM js', []);
	await c.rollback();
	await run('execute', 'SELECT COUNT(*) n FROM js', []);
	const statement = await c.prepare('SELECT ? AS a, ? AS b');
	for (const values of [[1, 'x'], [null, null], ['t', 2.5]])
		say('prepared', (await statement.execute(values))[0]);
	await statement.close();
	await c.changeUser({user, password, database});
	await run('query', 'SELECT CURRENT_USER() u, DATABASE() d, @x x');
	await c.ping();
	await run('query', 'DROP TABLE js');
	await c.end();

	const pool = mysql.createPool({host, port: Number(port), user, password, database, connectionLimit: 5});
	const all = await Promise.all(Array.from({length: 50}, (_, n) => pool.execute('SELECT ? + 1 AS n', [n])));
	say('pool', all.map(([rows]) => rows[0].n));
	await pool.end();
}

main().catch(e => { console.error(e); process.exit(1); });
