-- http.lua - HTTP as recipes use it, against a real server.
local spec = require "spec"

local server = [[
import http.server, json, sys, time
started = time.time()
asked = {}
class Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"
  def answer(self, status, body, kind="text/plain", **headers):
    self.send_response(status)
    self.send_header("Content-Type", kind)
    self.send_header("Content-Length", str(len(body)))
    for name, value in headers.items(): self.send_header(name.replace("_", "-"), value)
    self.end_headers()
    if self.command != "HEAD": self.wfile.write(body)
  def tell(self, value): self.answer(200, json.dumps(value).encode(), "application/json")
  def do_GET(self):
    length = int(self.headers.get("Content-Length") or 0)
    sent = self.rfile.read(length).decode()
    if self.path == "/json": self.tell({"version": "2", "app": {"n": 3}})
    elif self.path == "/bad": self.answer(502, b"bad gateway\n")
    elif self.path == "/header": self.answer(200, b"ok", X_Version="7")
    elif self.path.startswith("/flaky"):
      asked[self.path] = asked.get(self.path, 0) + 1
      self.answer(200 if asked[self.path] > 4 else 502, b"ok")
    elif self.path == "/moved": self.answer(302, b"", Location="/json")
    else: self.tell({"method": self.command, "sent": sent, "headers": dict(self.headers)})
  do_HEAD = do_POST = do_PUT = do_DELETE = do_GET
  def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[1], "w").write(str(server.server_address[1]))
server.serve_forever()
]]

local url

-- Starts the server and finds its port.
local function begin(t, here)
  local file = t.folder .. "/port"
  here:run({ "sh", "-c", "cat >\"$1.py\"; setsid python3 \"$1.py\" \"$1\" >/dev/null 2>&1 & echo $! >\"$1.pid\"",
    "sh", file }, { stdin = server, quiet = true })
  here:check("test -s " .. file, { within = 10, every = 0.05 })
  url = "http://127.0.0.1:" .. here:read({ "cat", file })
end

return spec.recipe("http", {
  { "a server runs", begin },
  { "get gives status, headers, body and JSON", function(t)
    local answer = http.get(url .. "/json")
    t.equal(answer.status, 200)
    t.equal(answer.json and answer.json.app and answer.json.app.n, 3)
    t.equal(answer.headers["content-type"], "application/json")
    t.equal(http.get(url .. "/bad").status, 502)
    t.equal(http.get(url .. "/bad").json, nil)
    t.equal(http.request { method = "head", url = url .. "/json" }.body, "")
    t.equal(http.get(url .. "/moved").status, 302)
    t.equal(http.get(url .. "/moved", { follow = true }).status, 200)
  end },
  { "request sends a body, headers and credentials", function(t)
    local answer = http.request { method = "POST", url = url .. "/echo", json = { text = "hi" }, bearer = "some-token",
      headers = { ["X-One"] = 1 } }
    t.equal(answer.json and answer.json.method, "POST")
    t.equal(answer.json and answer.json.sent, '{"text":"hi"}')
    local headers = answer.json and answer.json.headers or {}
    t.equal(headers.Authorization, "Bearer some-token")
    t.equal(headers["X-One"], "1")
    t.equal(headers["Content-Type"], "application/json")
  end },
  { "another status than the one that must come is a failure", function(t)
    t.equal(http.request { method = "POST", url = url .. "/bad" }.status, 502)
    t.equal(http.request { method = "POST", url = url .. "/echo", status = { 200, 201 } }.status, 200)
    t.equal(http.session { base = url }:put("/echo", { status = "2xx" }).status, 200)
    local problem = t.fails("http.status", http.request, { method = "PUT", url = url .. "/bad", status = { 200, 204 } })
    if problem then
      t.matches(problem.message, "PUT http://.*/bad: the status is 502 Bad Gateway, expected 200 or 204")
      t.equal(problem.detail, "502 Bad Gateway\nbad gateway")
      t.matches(problem.hint, "the service's log")
    end
    local api = http.session { base = url }
    t.fails("http.status", api.post, api, "/bad", { status = 200 })
    t.fails("http.status", api.delete, api, "/moved", { status = "2xx" })
    t.fails("http.status", http.request, { url = url .. "/bad", status = 200 })
    problem = t.fails("http.status", http.request, { method = "POST", url = url .. "/echo", status = 201,
      bearer = "some-token-that-comes-back" })
    if problem then
      t.matches(problem.detail, "Bearer ")
      t.equal(problem.detail:find("comes-back", 1, true), nil)
    end
    t.fails("recipe.argument", http.request, { method = "POST", url = url, status = "fine" })
    t.fails("recipe.argument", api.post, api, "/", { status = 2000 })
  end },
  { "expect waits for status, body, JSON and headers", function(t)
    t.equal(http.expect(url .. "/flaky1").attempts, 5)
    t.equal(http.expect(url .. "/flaky2", { in_a_row = 3 }).attempts, 7)
    http.expect(url .. "/json", { status = { 200, 204 }, json = { version = "2", ["app.n"] = 3 }, body = "version" })
    http.expect(url .. "/header", { header = { ["X-Version"] = "7" } })
    local problem = t.fails("http.expect_failed", http.expect, url .. "/bad", { within = 0.3, name = "health" })
    if problem then
      t.matches(problem.message, "the status is 502 Bad Gateway, expected 2xx")
      t.equal(problem.detail, "502 Bad Gateway\nbad gateway")
    end
    problem = t.fails("http.expect_failed", http.expect, url .. "/json", { attempts = 1, json = { version = "3" } })
    if problem then t.matches(problem.message, 'the JSON field version is "2", expected "3"') end
    problem = t.fails("http.expect_failed", http.expect, "http://127.0.0.1:1/", { within = 0.2 })
    if problem then t.equal(problem.cause.code, "http.connect") end
  end },
  { "a version is told by a field or a header", function(t)
    t.equal(http.version(url .. "/json"), "2")
    t.equal(http.version(url .. "/json", "app.n"), "3")
    t.equal(http.version(url .. "/header", "header:x-version"), "7")
    t.fails("http.no_version", http.version, url .. "/json", "app.none")
  end },
  { "a probe measures what happens meanwhile", function(t, here)
    local probe <close> = http.probe { url = url .. "/json", every = 0.02, version = "version" }
    here:run({ "sleep", "0.5" })
    local report = probe:stop()
    t.equal(report.failures, 0)
    t.equal(report.requests and report.requests > 20, true)
    t.equal(report.longest_gap and report.longest_gap < 0.2, true)
    t.equal(report.last_version, "2")
    t.equal(probe:stop(), report)
    local refused = http.probe { url = "http://127.0.0.1:1/", every = 0.02 }
    local bad = http.probe { url = url .. "/bad", every = 0.02 }
    here:run { "sleep", "0.2" }
    if t.real then
      t.matches(refused:stop().cause, "^cannot connect: Connection refused")
      t.equal(bad:stop().cause, "the status is 502 Bad Gateway, expected 2xx")
    end
  end },
  { "wrong calls are the recipe's fault", function(t)
    t.fails("recipe.argument", http.get)
    t.fails("recipe.option", http.get, url, { nonsense = 1 })
    local api = http.session { base = url }
    for what, call in pairs {
      ["http.request"] = function() http.request { method = "POST", url = url, tsl = {} } end,
      ["http.request with GET"] = function() http.request { url = url, tsl = {} } end,
      ["http.head"] = function() http.head(url, { tsl = {} }) end,
      ["http.expect"] = function() http.expect(url, { tsl = {} }) end,
      ["http.probe"] = function() http.probe { url = url, tsl = {} } end,
      ["session:post"] = function() api:post("/", { tsl = {} }) end,
      ["session:login"] = function() api:login("/", { tsl = {} }) end,
    } do
      local problem = t.fails("recipe.option", call)
      if problem then
        t.equal(problem.message, what .. " has no option 'tsl'")
        t.matches(problem.hint, "^did you mean 'tls'")
      end
    end
    t.fails("recipe.argument", http.expect, url, { status = "fine", within = 0.1 })
    t.fails("http.url", http.get, "localhost/x")
    t.fails("http.header", http.get, url, { headers = { ["X"] = "a\r\nb" } })
    t.fails("http.connect", http.get, "http://127.0.0.1:1/")
    t.fails("http.resolve", http.get, "http://nowhere.invalid/")
  end },
  { "nothing is left running", function(t, here)
    here:run({ "sh", "-c", "kill $(cat \"$1\")", "sh", t.folder .. "/port.pid" }, { quiet = true })
  end },
})
