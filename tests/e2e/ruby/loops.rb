# loops.rb PORT SCHEMA LOOP - a list and a statement prepared, run for each of its rows: of several values the key is one.
require "mysql2"

PORT, SCHEMA, LOOP = ARGV
CLIENT = Mysql2::Client.new(host: "127.0.0.1", port: PORT.to_i, username: "app", password: "app", database: SCHEMA)

def pages
  8.times { |page| CLIENT.query("SELECT id, cust FROM ord WHERE id BETWEEN #{page * 50 + 2} AND #{page * 50 + 26}").each_with_index { |row, i| yield row["id"], i } }
end

def prepare(sql) = CLIENT.prepare("SELECT words FROM remark WHERE #{sql}")

def beside_literals
  statement = prepare("kind = 'ord' AND thing = ? AND tenant > 3")
  pages { |id| statement.execute(id).to_a }
end

def beside_a_value
  pages { |id| prepare("kind = 'prod' AND thing = ? AND id > ?").tap { |s| s.execute(id, 1).to_a }.close }
end

def beside_a_literal_that_varies
  pages { |id, i| prepare("kind = '#{i.odd? ? "ord" : "prod"}' AND thing = ?").tap { |s| s.execute(id).to_a }.close }
end

send(LOOP)
