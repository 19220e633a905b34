-- oltp_apart.lua - sysbench's oltp_read_write, each thread writing rows of its own: what is deleted and inserted by one is nobody else's, so
-- that without transactions no error is the load's own.
require("oltp_read_write")

local any = sysbench.rand.default

function sysbench.rand.default(from, to)
	local n, threads = any(from, to), sysbench.opt.threads
	return n - n % threads + sysbench.tid % threads + 1
end
