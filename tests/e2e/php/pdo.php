<?php
// What an application does with PDO and mysqli: prints one JSON line an answer, the same direct and through suimon.
[, $host, $port, $user, $password, $schema] = $argv;

function say(string $what, mixed $value): void
{
	echo $what, ' ', json_encode($value, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE), "\n";
}

function attempt(string $what, callable $do): void
{
	try {
		say($what, $do());
	} catch (PDOException | mysqli_sql_exception $e) {
		say($what, [$e->getCode(), $e->getMessage()]);
	}
}

foreach ([true, false] as $emulate) {
	$pdo = new PDO("mysql:host=$host;port=$port;dbname=$schema;charset=utf8mb4", $user, $password,
		[PDO::ATTR_EMULATE_PREPARES => $emulate, PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC]);
	$run = function (string $sql, array $values = []) use ($pdo) {
		attempt($sql, function () use ($pdo, $sql, $values) {
			$s = $pdo->prepare($sql);
			$s->execute($values);
			return [$s->rowCount(), $s->columnCount() ? $s->fetchAll() : $pdo->lastInsertId()];
		});
	};
	$run('CREATE TABLE php (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(50), n DECIMAL(10,2), d DATE, b BLOB)');
	foreach (range(1, 5) as $n)
		$run('INSERT INTO php (s, n, d, b) VALUES (?, ?, ?, ?)', ["水門 '$n\\", $n / 4, "2024-01-0$n", "\x00\xff$n"]);
	$run('SELECT * FROM php WHERE id = ?', [3]);
	$run('SELECT s, n FROM php WHERE n > :n ORDER BY id', ['n' => 0.5]);
	$run('SELECT * FROM missing');
	$run('INSERT INTO php (id) VALUES (?)', [1]);
	$pdo->beginTransaction();
	$run('UPDATE php SET s = ?', ['t']);
	$run('SELECT COUNT(*) c FROM php WHERE s = ?', ['t']);
	$pdo->rollBack();
	$run('SELECT COUNT(*) c FROM php WHERE s = ?', ['t']);
	say('quote', $pdo->quote("a'b\\c"));
	say('version', $pdo->getAttribute(PDO::ATTR_SERVER_VERSION));
	$unbuffered = new PDO("mysql:host=$host;port=$port;dbname=$schema", $user, $password, [PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => false]);
	say('unbuffered', array_sum(array_column($unbuffered->query('WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 900) SELECT seq FROM n')->fetchAll(), 'seq')));
	$run('DROP TABLE php');
}

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$m = new mysqli($host, $user, $password, $schema, (int)$port);
$m->set_charset('utf8mb4');
attempt('multi', function () use ($m) {
	$got = [];
	$m->multi_query('SELECT 1 AS a; SELECT 2 AS b, 3 AS c');
	do {
		$got[] = $m->store_result()->fetch_all();
	} while ($m->more_results() && $m->next_result());
	return $got;
});
attempt('statement', function () use ($m) {
	$s = $m->prepare('SELECT ?, ?, ?');
	$i = 5;
	$d = 2.5;
	$t = 'text';
	$s->bind_param('ids', $i, $d, $t);
	$s->execute();
	return $s->get_result()->fetch_all();
});
attempt('cursor', function () use ($m) {
	$s = $m->prepare('WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 10) SELECT seq FROM n');
	$s->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
	$s->attr_set(MYSQLI_STMT_ATTR_PREFETCH_ROWS, 3);
	$s->execute();
	$s->bind_result($seq);
	$got = [];
	while ($s->fetch())
		$got[] = $seq;
	return $got;
});
attempt('change user', function () use ($m, $user, $password, $schema) {
	$m->query('SET @x = 1');
	$m->change_user($user, $password, $schema);
	return $m->query('SELECT CURRENT_USER(), DATABASE(), @x')->fetch_all();
});
attempt('warnings', function () use ($m) {
	$m->query("SELECT CAST('1x' AS SIGNED)");
	return [$m->warning_count, $m->query('SHOW WARNINGS')->fetch_all()];
});
attempt('info', fn () => [$m->server_info, $m->host_info !== '', $m->ping()]);
