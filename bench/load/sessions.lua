-- wrk's requests: the same 64 sessions in turn, for every peer alike. The requests are made once, not per send.
local SESSIONS = 64
local requests, turn = {}, 0

function init()
  for n = 1, SESSIONS do
    wrk.headers['Cookie'] = string.format('sid=session-%02d-of-the-bench', n)
    requests[n] = wrk.format()
  end
end

function request()
  turn = turn % SESSIONS + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"bytes":%d,"seconds":%.6f,"p50Us":%.1f,"p99Us":%.1f,' ..
    '"notOk":%d,"socketErrors":%d,"timeouts":%d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
