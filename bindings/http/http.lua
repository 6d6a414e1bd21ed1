-- http.lua - the global `http`, target:http() and sessions; see http.c and, for arguments and results, meta/http.lua.
-- http.watch is in http_watch.lua.
local dr = ...
local core = dr.core.http
local get, send, expect = dr.op("http.get"), dr.op("http.send"), dr.op("http.expect")
local certificate = dr.op("http.certificate")
local probe_start, probe_stop = dr.op("http.probe"), dr.op("http.probe_stop")

local wrong = dr.wrong

-- An object with these functions that may be called as object.name(…) and as object:name(…).
function dr.bound(name, functions)
  local object, methods = {}, {}
  for key, fn in pairs(functions) do
    methods[key] = function(first, ...)
      if first == object then return fn(...) end
      return fn(first, ...)
    end
  end
  return setmetatable(object, dr.class(name, methods))
end

-- ---------------------------------------------------------------------------------------------- arguments

local MANY_REDIRECTS <const> = 10
local SECRET_LENGTH <const> = 8

-- Registers a key for masking; short ones are words that would be taken out of every text.
local function hide(name, value)
  if type(value) == "string" and #value >= SECRET_LENGTH then core.mask(name, value) end
end

-- follow = true, false or a number → the number of redirects.
local function set_follow(what, args)
  local follow = args.follow
  if follow == true then follow = MANY_REDIRECTS end
  if follow == false or follow == nil then follow = 0 end
  if math.type(follow) ~= "integer" or follow < 0 or follow > 50 then
    wrong(what .. ": follow is true, false or a number of redirects up to 50")
  end
  args.follow = follow > 0 and follow or nil
end

-- basic = { "user", "password" } or { user =, password = } → user and password.
local function set_credentials(what, args)
  local basic = args.basic
  if basic ~= nil then
    if type(basic) ~= "table" then wrong(what .. ": basic is a table: basic = { \"user\", secret(\"PASSWORD\") }") end
    args.user, args.password, args.basic = basic.user or basic[1], basic.password or basic[2], nil
  end
  hide("bearer token", args.bearer)
  hide("password", args.password)
end

-- tls = { verify = false, ca = "file.pem" } → insecure and ca.
local function set_tls(what, args)
  local tls = args.tls
  if tls == nil then return end
  if type(tls) ~= "table" then wrong(what .. ": tls is a table: tls = { ca = \"file.pem\" }") end
  dr.check_options(what .. ": tls", tls, { verify = true, ca = true })
  if tls.verify == false then args.insecure = true end
  args.ca, args.tls = tls.ca or args.ca, nil
end

-- What the functions set of an op's options, and what they take beside the others.
local set = { url = true, method = true, probe = true }
local own_options = { basic = true, tls = true }
local probe_own = { basic = true, tls = true, url = true }
local request_own = { basic = true, tls = true, url = true, method = true }

-- A copy of the options with the URL in it, as the op takes them; `own`: own_options, or those of a function that is
-- given the URL among them. Without the op's name it is left to the op which options there are.
local function with_url(what, op, url, options, own)
  if type(url) ~= "string" then
    wrong(what .. " takes a URL, not " .. type(url), ("for example %s(\"http://localhost:8000/health/\")"):format(what))
  end
  if options ~= nil and type(options) ~= "table" then wrong(what .. " takes a URL and a table of options") end
  if op then dr.check_op_options(what, op, options, set, own or own_options) end
  local args = dr.copy(options or {})
  args.url = url
  set_follow(what, args)
  set_credentials(what, args)
  set_tls(what, args)
  return args
end
function dr.http_args(what, url, options) return with_url(what, nil, url, options) end

local function check_options(what, options, example)
  if type(options) ~= "table" then wrong(what .. " takes a table of options", "for example " .. example) end
  return options
end

-- ---------------------------------------------------------------------------------------------- versions

-- The value at "field.path" of decoded JSON, or nil.
local function at(value, path)
  for key in path:gmatch("[^.]+") do
    if type(value) ~= "table" then return nil end
    local index = math.tointeger(tonumber(key))
    value = value[key] == nil and index and value[index + 1] or value[key]
  end
  return value
end

-- Of a long text the beginning, with the "…" by which a secret that was cut in two is known.
local function beginning(text)
  return #text > 1000 and text:sub(1, 1000) .. "…" or text
end

local function version_in(url, answer, where)
  local header = where:match("^[Hh]eader:(.+)$")
  local version
  if header then version = answer.headers[header:lower()] else version = at(answer.json, where) end
  if type(version) == "string" or type(version) == "number" then return tostring(version) end
  return dr.fail { code = "http.no_version",
    message = ("%s tells no version at %s (status %d)"):format(url, where, answer.status),
    hint = "name the JSON field (\"app.version\") or the header (\"header:x-version\") that holds it",
    detail = beginning(answer.body) }
end

-- ---------------------------------------------------------------------------------------------- sessions

local Session = {}
local session_class = dr.class("http session", Session)

local session_options = { base = true, headers = true, timeout = true, connect_timeout = true, follow = true,
  max_body = true, bearer = true, basic = true, user = true, password = true, address = true, ca = true, tls = true,
  insecure = true, unix_socket = true, cookies = true, name = true }

-- Cookies to begin with, as an answer has them: the last field of each line is the value, and may be a key.
local function first_cookies(lines)
  if lines ~= nil and type(lines) ~= "table" then wrong("a session's cookies are a list, as answer.cookies") end
  local cookies = dr.array {}
  for _, line in ipairs(lines or {}) do
    if type(line) ~= "string" then wrong("a session's cookies are a list, as answer.cookies") end
    hide("cookie", line:match("[^\t]*$"))
    cookies[#cookies + 1] = line
  end
  return cookies
end

local function new_session(target, options)
  check_options("a session", options, "http.session { base = \"https://example.org\" }")
  dr.check_options("a session", options, session_options)
  if type(options.base) ~= "string" then wrong("a session needs base, the URL that paths are added to") end
  local defaults = {}
  for name, value in pairs(options) do
    if name ~= "base" and name ~= "cookies" then defaults[name] = value end
  end
  return setmetatable({ target = target or false, base = (options.base:gsub("/+$", "")), defaults = defaults,
    headers = options.headers or {}, cookies = first_cookies(options.cookies) }, session_class)
end

-- "/a/../b" leads elsewhere, and "/a/%2E%2e/b" is the same.
local function climbs(path)
  local plain = path:gsub("[?#].*", ""):gsub("%%2[eE]", ".")
  return ("/" .. plain .. "/"):find("/../", 1, true) ~= nil
end

local function join(session, path)
  if type(path) ~= "string" then wrong("a session's requests take a path, for example api:get(\"/health/\")") end
  local base, whole = session.base, path
  if not path:find("^https?://") then whole = base .. (path:sub(1, 1) == "/" and "" or "/") .. path end
  local below = whole:sub(#base + 1)
  if whole:sub(1, #base) == base and (below == "" or below:find("^[/?#]")) and not climbs(below) then return whole end
  return wrong(("%s is not below %s"):format(path, base),
    "a session keeps its cookies and keys for its own base; ask elsewhere with http.get")
end

-- The arguments of a request: the session's, and over them the call's own.
local function session_args(session, what, op, path, options)
  local merged, headers = {}, {}
  for name, value in pairs(session.defaults) do merged[name] = value end
  for name, value in pairs(options or {}) do merged[name] = value end
  for name, value in pairs(session.headers) do headers[name] = value end
  for name, value in pairs(options and options.headers or {}) do headers[name] = value end
  merged.headers = headers
  local args = with_url(what, op, join(session, path), merged)
  args.cookies = session.cookies
  return args
end

-- Keeps the cookies an answer brought.
local function keep(session, answer)
  if not dr.assumed(answer) and answer.cookies then session.cookies = dr.array(answer.cookies) end
  return answer
end

function Session:get(path, options)
  return keep(self, get(self.target or nil, session_args(self, "session:get", "http.get", path, options)))
end

function Session:head(path, options)
  local args = session_args(self, "session:head", "http.get", path, options)
  args.method = "HEAD"
  return keep(self, get(self.target or nil, args))
end

for _, verb in ipairs { "post", "put", "patch", "delete" } do
  Session[verb] = function(self, path, options)
    local args = session_args(self, "session:" .. verb, "http.send", path, options)
    args.method = verb:upper()
    return keep(self, send(self.target or nil, args))
  end
end

function Session:expect(path, options)
  return keep(self, expect(self.target or nil, session_args(self, "session:expect", "http.expect", path, options)))
end

-- Every later request has this header; nil takes it away.
function Session:header(name, value)
  if type(name) ~= "string" then wrong("session:header takes a name and a value") end
  self.headers[name] = value
  return self
end

-- Every later request has this token.
function Session:bearer(token)
  if type(token) ~= "string" then wrong("session:bearer takes a token, not " .. type(token)) end
  hide("bearer token", token)
  self.defaults.bearer = token
  return self
end

local login_own = { basic = true, tls = true, token = true }

-- POSTs credentials, keeps the cookies and, with token = "field.path", the token as bearer, a secret from then on.
function Session:login(path, options)
  check_options("session:login", options, "api:login(\"/api/login\", { json = { … }, token = \"access_token\" })")
  dr.check_op_options("session:login", "http.send", options, set, login_own)
  local sent, token, status = dr.copy(options), options.token, options.status
  sent.token, sent.status = nil, nil
  if token then sent.secret = { token } end
  local answer = self:post(path, sent)
  if dr.assumed(answer) then return answer end
  local ok = answer.status >= 200 and answer.status < 300
  if status then ok = answer.status == status end
  if not ok then
    return dr.fail { code = "http.login",
      message = ("the login at %s%s was answered with status %d"):format(self.base, path, answer.status),
      hint = "are name and password those of this server?", detail = beginning(answer.body) }
  end
  if token then
    local value = at(answer.json, token)
    if type(value) ~= "string" then
      return dr.fail { code = "http.login",
        message = ("the login at %s%s gave no token at %s"):format(self.base, path, token),
        hint = "token is the field of the answer's JSON, for example \"access_token\" or \"data.token\"" }
    end
    self:bearer(value)
  end
  return answer
end

-- ---------------------------------------------------------------------------------------------- the probe

local Probe = {}
local probe_class = dr.class("probe", Probe)
local probes = 0

-- Ends the probe and returns its report; again, the same report.
function Probe:stop()
  if self.report then return self.report end
  local report = probe_stop(self.target or nil, { probe = self.id, url = self.url })
  self.report = report
  if not dr.dry() and report.requests > 0 and report.failures == report.requests then
    dr.globals.warn(("the probe of %s was never answered as expected: %s"):format(report.url, report.cause))
  end
  return report
end

probe_class.__close = function(probe) probe:stop() end

local function new_probe(target, options)
  check_options("http.probe", options, "http.probe { url = \"http://localhost:8000/health/\", every = 0.1 }")
  local args = with_url("http.probe", "http.probe", options.url, options, probe_own)
  probes = probes + 1
  args.probe = probes
  probe_start(target, args)
  local probe = setmetatable({ id = probes, url = options.url, report = false, target = target or false }, probe_class)
  dr.at_end(function() if not dr.dry() then probe:stop() end end)
  return probe
end

-- ---------------------------------------------------------------------------------------------- the functions

-- "example.org", "example.org:8443" or a URL → a URL.
local function certificate_url(where)
  if type(where) ~= "string" or where == "" then wrong("http.certificate takes a host's name or a URL") end
  return where:find("://", 1, true) and where or "https://" .. where .. "/"
end

-- The functions as seen from a target; nil is this machine.
function dr.http_functions(target)
  local http = {}

  -- Reads a URL. Any status is a result.
  function http.get(url, options) return get(target, with_url("http.get", "http.get", url, options)) end

  -- Reads the headers of a URL only.
  function http.head(url, options)
    local args = with_url("http.head", "http.get", url, options)
    args.method = "HEAD"
    return get(target, args)
  end

  -- Sends a request of any method. GET and HEAD are queries, all others actions.
  function http.request(options)
    check_options("http.request", options, "http.request { method = \"POST\", url = \"https://…\", json = { … } }")
    local method = tostring(options.method or "GET"):upper()
    local asks = method == "GET" or method == "HEAD"
    local args = with_url(asks and "http.request with " .. method or "http.request", asks and "http.get" or "http.send",
      options.url, options, request_own)
    args.method = method
    return (asks and get or send)(target, args)
  end

  -- Waits until a URL answers as expected; fails with the last answer when it does not in time.
  function http.expect(url, options)
    return expect(target, with_url("http.expect", "http.expect", url, options))
  end

  -- The version a service tells, by "field.path" of its JSON or by "header:name".
  function http.version(url, where, options)
    local answer = get(target, with_url("http.version", "http.get", url, options))
    if dr.assumed(answer) then return tostring(answer) end
    return version_in(url, answer, where or "version")
  end

  -- What certificate a server shows, and whether this machine trusts it.
  function http.certificate(where, options)
    return certificate(target, with_url("http.certificate", "http.certificate", certificate_url(where), options))
  end

  -- A row of requests with cookies, headers and a token in common.
  function http.session(options) return new_session(target, options) end

  -- Asks a URL at a constant rate in the background until it is stopped or the run ends.
  function http.probe(options) return new_probe(target, options) end

  -- Watches URLs and containers for some minutes; fails when a threshold is crossed.
  function http.watch(options) return dr.http_watch(target, options) end

  return http
end

dr.global("http", setmetatable({}, dr.class("http", dr.http_functions(nil))))

function dr.Target:http() return dr.bound("http", dr.http_functions(self)) end
