-- Defines the requests that wrk sends, and prints one line of JSON at the end.
-- Usage: wrk … -s load.lua URL -- [DEPTH [UPLOAD_BYTES]]
-- DEPTH requests are pipelined. With UPLOAD_BYTES they are PUTs of that length to URL followed by a number.

local TARGETS = 64 -- the number of files that are uploaded

local requests, turn = {}, 0

local function content(bytes)
    -- It ends in a blank line: null.rs finds the end of a request by counting blank lines.
    return string.rep("0123456789abcde\n", math.ceil(bytes / 16)):sub(1, bytes - 4) .. "\r\n\r\n"
end

function init(args)
    local depth, upload_bytes = tonumber(args[1] or 1), tonumber(args[2] or 0)
    if upload_bytes > 0 then
        local body = content(upload_bytes)
        for target = 1, TARGETS do
            requests[target] = wrk.format("PUT", wrk.path .. target, nil, body)
        end
    else
        requests[1] = string.rep(wrk.format("GET"), depth)
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"seconds": %.6f, "requests": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, ' ..
            '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
        summary.duration / 1e6, summary.requests, summary.bytes, latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
