---@meta
-- HTTP: ask, send, wait for an answer, measure in the background, watch after a deploy. The global `http` asks from this
-- machine; target:http() has the same functions and asks from the target, for an SSH host through its connection.
--
-- Every request may fail with http.resolve, http.connect, http.timeout, http.closed, http.tls, http.tls_expired, http.tls_name,
-- http.tls_untrusted, http.proxy, http.protocol, http.redirects, http.url, http.method, http.header, http.request, http.setup,
-- http.failed, http.no_way (from inside a container). A status such as 500 is an answer, not a failure, except where one is
-- expected: with `status`, or by http.expect.

---@class deployrun.Http
http = {}

---@class deployrun.Target
local Target = {}

---The functions of `http`, as seen from the target: names are looked up and ports connected to there. TLS is spoken from here
---to the URL's name. Called with a dot or a colon: server:http():get("http://localhost/health/").
---
---Fails when asked to go into a container: http.no_way.
---@return deployrun.Http
function Target:http() end

-- ---------------------------------------------------------------------------------------------- asking

---@class deployrun.RequestOptions
---@field headers? table<string, string>
---@field timeout? number|string for the whole request; default 30
---@field connect_timeout? number|string for name, connection and TLS; default: the timeout alone
---@field follow? boolean|integer redirects that are followed; true is ten; default none, so that a redirect to a login page is not taken for the page. Keys do not go along to another place; where one place is asked again and again (expect, probe, watch) `follow` is refused together with a header that carries one, other than Authorization and Cookie. Through SSH only get, head and request follow
---@field max_body? integer bytes of body that are kept; a longer one is cut off there; default 1 MiB
---@field bearer? string token of an Authorization header; from 8 characters on it is masked as a secret
---@field basic? table {"user", "password"} or {user =, password =}
---@field user? string the same in two options
---@field password? string
---@field address? string connect to this "address" or "address:port", but speak to the URL's name
---@field ca? string file of PEM certificates to trust in place of the system's
---@field tls? {verify?: boolean, ca?: string} verify = false takes any certificate; the plan says so
---@field insecure? boolean the same as tls = { verify = false }
---@field unix_socket? string connect to this socket, whatever host the URL names
---@field cookies? string[] what a session keeps, as answer.cookies has it; of http.session: those to begin with
---@field name? string what it is called in progress lines

---@class deployrun.Answer
---@field status integer
---@field headers table<string, string> names in lower case
---@field body string at most max_body bytes
---@field truncated? boolean the body was longer
---@field json? any the decoded body, when the answer says that it is JSON
---@field redirect? string where it points, of a redirect that was not followed
---@field cookies? string[] those of a session
---@field seconds number
---@field url string the one that answered, after redirects
---@field address string the peer's IP address; "" through a tunnel

---@class deployrun.GetOptions: deployrun.RequestOptions
---@field status? integer|string|(integer|string)[] which must come: 201, "2xx" or a list of these; default any
---@field secret? string|string[] fields of the answer ("access_token", "header:x-token") that are secrets from then on

---Reads a URL. Query: in a dry run too, as long as no planned action may change the answer.
---@param url string http:// or https://
---@param options? deployrun.GetOptions
---@return deployrun.Answer
function http.get(url, options) end

---Reads the headers of a URL only. A query.
---@param url string
---@param options? deployrun.GetOptions
---@return deployrun.Answer
function http.head(url, options) end

---@class deployrun.SendOptions: deployrun.GetOptions
---@field url string
---@field method? string default GET
---@field json? any sent as JSON
---@field body? string sent as it is
---@field idempotent? boolean it may be sent again when it is in doubt; default false

---Sends a request of any method. GET and HEAD are queries and take neither json nor body; all others are actions (change)
---and are not repeated. Without `status` every answer is a success, 405 and 500 too; with it another one fails.
---
---Fails: http.status, with the beginning of the answer's body.
---@param options deployrun.SendOptions
---@return deployrun.Answer
function http.request(options) end

---The version that a service tells.
---
---Query. Fails: http.no_version.
---@param url string
---@param where? string field of its JSON ("version", "app.version", "items.0.name") or "header:name"; default "version"
---@param options? deployrun.RequestOptions
---@return string
function http.version(url, where, options) end

---@class deployrun.Certificate
---@field days_left integer whole days until it expires, rounded down; negative when it has
---@field expires string "2026-11-05 12:00:00 UTC"
---@field not_before integer seconds since 1970
---@field not_after integer
---@field subject string "CN = example.org"
---@field issuer string
---@field names string[] the names it is for
---@field chain integer certificates the server shows
---@field trusted boolean this machine takes it for this name
---@field error? string why not: "http.tls_expired" "http.tls_name" "http.tls_untrusted" "http.tls"
---@field why? string the same in words
---@field address string

---What certificate a server shows, good or bad. Query. Fails: http.no_certificate.
---@param where string a host's name, "host:port", or an https:// URL
---@param options? deployrun.RequestOptions
---@return deployrun.Certificate
function http.certificate(where, options) end

-- ---------------------------------------------------------------------------------------------- sessions

---@class deployrun.SessionOptions: deployrun.RequestOptions
---@field base string the URL that paths are added to; nothing is sent anywhere else

---A row of requests with cookies, headers and a token in common. Cookie values of 8 characters or more are masked.
---@param options deployrun.SessionOptions
---@return deployrun.Session
function http.session(options) end

---@class deployrun.Session
local Session = {}

---@param path string
---@param options? deployrun.GetOptions
---@return deployrun.Answer
function Session:get(path, options) end

---@param path string
---@param options? deployrun.GetOptions
---@return deployrun.Answer
function Session:head(path, options) end

---POST. Actions: change; so are put, patch and delete. As http.request: without `status` every answer is a success.
---
---Fails: http.status.
---@param path string
---@param options? deployrun.SendOptions
---@return deployrun.Answer
function Session:post(path, options) end

---@param path string
---@param options? deployrun.SendOptions
---@return deployrun.Answer
function Session:put(path, options) end

---@param path string
---@param options? deployrun.SendOptions
---@return deployrun.Answer
function Session:patch(path, options) end

---@param path string
---@param options? deployrun.SendOptions
---@return deployrun.Answer
function Session:delete(path, options) end

---As http.expect, with what the session keeps. Check.
---@param path string
---@param options? deployrun.ExpectOptions
---@return deployrun.ExpectedAnswer
function Session:expect(path, options) end

---Every later request has this header; nil takes it away. Returns the session.
---@param name string
---@param value? string
---@return deployrun.Session
function Session:header(name, value) end

---Every later request has this token. Returns the session.
---@param token string
---@return deployrun.Session
function Session:bearer(token) end

---@class deployrun.LoginOptions: deployrun.SendOptions
---@field token? string the field of the answer's JSON that is the token: "access_token", "data.token"
---@field status? integer the status of a good login; default any 2xx

---POSTs credentials; keeps the cookies, and with `token` the token as bearer of every later request. It is a secret before
---anything is written down.
---
---Action: change. Fails: http.login (another status, no token).
---@param path string
---@param options deployrun.LoginOptions
---@return deployrun.Answer
function Session:login(path, options) end

-- ---------------------------------------------------------------------------------------------- expecting

---@class deployrun.Expectation: deployrun.RequestOptions
---@field status? integer|string|table 200, a class such as "2xx", or a list of these; default: any 2xx
---@field body? string must be contained in the body
---@field json? table<string, any> "field.path" → value that the JSON body must have there
---@field header? table<string, string> name → exact value

---@class deployrun.ExpectOptions: deployrun.Expectation
---@field within? number|string the bound of the whole; default: attempts × interval
---@field attempts? integer default 12; 1 is one request that decides
---@field interval? number|string default 5; only for the bound, the pauses are shorter
---@field pause? number|string the longest pause between two requests; default 0.075
---@field in_a_row? integer good answers that must come one after another; default 1
---@field timeout? number|string of each request; default 5

---@class deployrun.ExpectedAnswer: deployrun.Answer
---@field attempts integer

---Asks until the answer is as expected. The first request goes out at once, the next ones after pauses of 25 to 75 ms, each
---on a fresh connection.
---
---Check: in a dry run it is only recorded. Fails: http.expect_failed, with the last answer as detail.
---@param url string
---@param options? deployrun.ExpectOptions
---@return deployrun.ExpectedAnswer
function http.expect(url, options) end

-- ---------------------------------------------------------------------------------------------- measuring

---@class deployrun.ProbeOptions: deployrun.Expectation
---@field url string
---@field every? number|string from one request to the next, at least 0.005; default 0.1
---@field version? string where an answer tells its version, as for http.version
---@field timeout? number|string of each request; default 5

---@class deployrun.ProbeReport
---@field url string
---@field requests integer those that ended
---@field failures integer those without the expected answer
---@field longest_gap number seconds, the longest time between two good answers
---@field longest_gap_at number seconds after the start
---@field seconds number
---@field p50_ms number
---@field p95_ms number
---@field max_ms number
---@field late_ms number how late the prober itself was at most
---@field statuses table<string, integer> "200" or an error's code → count
---@field cause? string why requests failed, the most frequent cause in words
---@field first_version? string
---@field last_version? string
---@field versions? table<string, integer> version → answers
---@field version_changed_at? number seconds after the start: the first answer of the last version
---@field version_settled_at? number seconds after the start: from here on only that one

---Asks a URL at a constant rate in the background, until it is stopped, closed (`local probe <close> = …`) or the run ends. Its
---report stands at the end of the run, with a warning when no answer was the expected one. Each request has a connection of its own.
---
---Check: in a dry run it is only recorded. Fails: recipe.argument, http.url.
---@param options deployrun.ProbeOptions
---@return deployrun.Probe
function http.probe(options) end

---@class deployrun.Probe
local Probe = {}

---Ends the probe and returns its report; called again, the same report. In a dry run all numbers are 0.
---@return deployrun.ProbeReport
function Probe:stop() end

-- ---------------------------------------------------------------------------------------------- watching

---@class deployrun.Measure
---@field [1] fun(): number measures it; it may use queries
---@field max? number
---@field min? number

---@class deployrun.WatchOptions: deployrun.Expectation
---@field url? string
---@field urls? string[] at most 32, each judged by itself
---@field every? number|string from one request to the next; default 1
---@field during? number|string default 10m
---@field window? number|string how far back is judged; default 60, and at least as long as min_samples take
---@field max_error_rate? number share of bad answers, 0 to 1; default 0.01
---@field max_p50? number|string seconds that half of the answers may take; default: not judged
---@field max_p95? number|string the same of 95 %
---@field max_p99? number|string the same of 99 %
---@field min_samples? integer nothing is judged before so many answers; default 20
---@field min_bad? integer and not before so many of them were bad, or slow; default 5
---@field stack? deployrun.Stack its containers are watched too
---@field services? string[] only these of its services
---@field containers? string[] names of containers on the target
---@field max_restarts? integer of each container; default 0
---@field max_memory? integer|string bytes or "512MiB", of each container; default: not judged
---@field also? table<string, deployrun.Measure> name → what the recipe measures
---@field database? deployrun.Database whose connections are watched: at most nine in ten of what its server allows
---@field max_connections? integer the limit for that instead
---@field look_every? number|string how often containers, the database and `also` are looked at; default 5

---@class deployrun.WatchReport
---@field requests integer
---@field failures integer
---@field seconds number
---@field urls table<string, deployrun.ProbeReport>
---@field restarts? table<string, integer>
---@field memory? table<string, integer> the most, in bytes
---@field measured? table<string, {last: number, min: number, max: number}>

---Watches a service for some minutes after a deploy, and fails, so that the run is undone, when it is worse than the thresholds
---say. The last `window` is judged, once it holds min_samples answers: it is bad when more than max_error_rate of them were bad
---and at least min_bad were; or when a percentile is above its limit and at least min_bad were slower. At the end the
---whole is judged the same way; there, no good answer at all is bad too. Containers fail it when they restart, exit, are gone
---or unhealthy; memory and what `also` measures when they are over the limit three looks in a row. All is looked at once more
---when the last answer has come.
---
---Check: in a dry run it is only recorded. Fails: http.watch_failed, with the last bad answers or log lines as detail.
---@param options deployrun.WatchOptions
---@return deployrun.WatchReport
function http.watch(options) end
