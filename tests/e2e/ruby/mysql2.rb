# What Ruby's mysql2 sees: HOST PORT USER PASSWORD SCHEMA FILE. The same lines direct and through suimon.
require "mysql2"
require "digest"

host, port, user, password, schema, file = ARGV
base = {host: host, port: port.to_i, username: user, password: password, database: schema}
c = Mysql2::Client.new(base.merge(flags: Mysql2::Client::MULTI_STATEMENTS | Mysql2::Client::COMPRESS, local_infile: true, encoding: "utf8mb4"))

def show(*values)
  puts values.map(&:inspect).join("\t")
end

c.query("DROP TABLE IF EXISTS r")
c.query("CREATE TABLE r (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(40), d DATETIME(3), n DECIMAL(20,5), b LONGBLOB) CHARACTER SET utf8mb4")
insert = c.prepare("INSERT INTO r (s, d, n, b) VALUES (?, ?, ?, ?)")
(1..5).each do |n|
  insert.execute("水 #{n}", Time.new(2024, 2, 29, 12, 0, n, "+00:00"), n + 0.5, "\x00\xff" * n)
  show("inserted", insert.affected_rows, insert.last_id)
end
insert.execute(nil, nil, nil, nil)
select = c.prepare("SELECT id, s, d, n, HEX(b) AS hex FROM r WHERE id > ? ORDER BY id")
[0, 3, 99].each { |from| show(select.execute(from, database_timezone: :utc).to_a) }
show(c.prepare("SELECT ? + 1, ?, ?").execute(41, nil, 2.5).first)
insert.close
select.close
show(c.query("SELECT * FROM r ORDER BY id", as: :array, database_timezone: :utc).to_a)
sum = 0
c.query("SELECT a.id FROM r a, r b, r c, r d", stream: true, cache_rows: false).each { |row| sum += row["id"] }
show("streamed", sum)
big = "z" * 3_000_000
show("big", Digest::MD5.hexdigest(c.query("SELECT '#{big}' AS big").first["big"]), c.query("SELECT REPEAT('y', 2000000) AS y").first["y"].size)
["SELEKT", "SELECT * FROM missing", "INSERT INTO r (id) VALUES (1)"].each do |sql|
  c.query(sql)
rescue Mysql2::Error => e
  show("error", e.error_number, e.sql_state, e.message)
end
%w[ROLLBACK COMMIT].each do |finish|
  c.query("BEGIN")
  c.query("UPDATE r SET n = n + 1 WHERE id < 4")
  show("inside", c.affected_rows, c.query("SELECT SUM(n) AS n FROM r").first)
  c.query(finish)
  show(finish, c.query("SELECT SUM(n) AS n FROM r").first)
end
show("several", c.query("SELECT 1 AS one; SELECT 2 AS two; DO 1; SELECT 3 AS three").to_a)
while c.next_result
  result = c.store_result
  show("several", result && result.to_a)
end
c.query("CREATE TABLE IF NOT EXISTS l (id INT, s VARCHAR(40))")
c.query("DELETE FROM l")
c.query("LOAD DATA LOCAL INFILE '#{file}' INTO TABLE l")
show("loaded", c.affected_rows, c.query("SELECT COUNT(*) AS c, SUM(id) AS s FROM l").first)
c.query("SELECT CAST('1x' AS SIGNED)")
show("warnings", c.warning_count, c.query("SHOW WARNINGS").to_a)
show("ping", c.ping)
c.close
