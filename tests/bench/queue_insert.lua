-- queue_insert.lua - tests/bench/queue's statement: one row, autocommit, as text.
function thread_init()
	connection = sysbench.sql.driver():connect()
	n = 0
end

function event()
	n = n + 1
	connection:query(string.format("INSERT INTO log (client, n, path) VALUES (%d, %d, '/products/%d?from=search')",
		sysbench.tid, n, sysbench.rand.uniform(1, 100000)))
end

function thread_done()
	connection:disconnect()
end
