-- http_checks.lua - HTTP and network checks as recipes use them, against the servers of http_world.sh: from this
-- machine, and the same through SSH when SPEC_SSH_CONFIG names a configuration.
local spec = require "spec"

local odd, ca, through_ssh

-- Chooses a port, says which, and only later listens on it.
local late = [[
import socket, sys, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", 0))
open(sys.argv[1], "w").write(str(server.getsockname()[1]))
time.sleep(1)
server.listen()
time.sleep(30)
]]

-- The headers that /echo saw; none in the walk.
local function sent_headers(answer) return answer.json and answer.json.headers or {} end

local function tls(name) return ("https://localhost:%s/"):format(env["WORLD_" .. name]) end

return spec.recipe("http_checks", {
  { "the world is known", function()
    odd, ca, through_ssh = env.WORLD_ODD, env.WORLD_CA, env.SPEC_SSH_CONFIG ~= nil
  end },
  { "a target's http asks from the target", function(t, here)
    local answer = here:http():get(odd .. "/echo")
    t.equal(answer.status, 200)
    t.equal(answer.address, through_ssh and "" or "127.0.0.1")
    t.equal(here:http().get(odd .. "/echo").status, 200)
    t.equal(here:http():version(odd .. "/echo", "method"), "GET")
    t.equal(http.get(odd .. "/echo").address, "127.0.0.1")
    t.fails("recipe.unknown_method", function() return here:http().fetch end)
  end },
  { "HEAD brings headers and no body", function(t, here)
    local answer = here:http():head(odd .. "/echo")
    t.equal(answer.body, "")
    t.equal(answer.headers["content-type"], "application/json")
  end },
  { "JSON, basic and bearer credentials arrive", function(t, here)
    local web = here:http()
    local answer = web:request { method = "POST", url = odd .. "/echo", json = { a = { 1, 2 } },
      basic = { "ann", "open sesame" } }
    t.equal(answer.json and answer.json.sent, '{"a":[1,2]}')
    t.equal(sent_headers(answer).Authorization, "Basic YW5uOm9wZW4gc2VzYW1l")
    answer = web:get(odd .. "/echo", { bearer = "bearer-12345" })
    t.equal(sent_headers(answer).Authorization, "Bearer bearer-12345")
  end },
  { "a login gives token and cookies, and the endpoints behind it answer", function(t, here)
    local api = here:http():session { base = odd, headers = { ["X-Extra"] = "1" } }
    t.equal(api:get("/me").status, 401)
    t.fails("http.login", api.login, api, "/login", { json = { password = "wrong" }, token = "access_token" })
    t.fails("http.login", api.login, api, "/login", { json = { password = "correct-horse" }, token = "data.nothing" })
    local answer = api:login("/login", { json = { password = "correct-horse" }, token = "access_token" })
    t.equal(answer.status, 200)
    local me = api:get("/me")
    t.equal(me.status, 200)
    t.equal(me.json and me.json.bearer, "Bearer tok-5f3a9c0e7d1b")
    t.equal(me.json and me.json.cookie, "session=c00kie-value-1")
    t.equal(me.json and me.json.extra, "1")
    t.equal(api:expect("/me", { json = { extra = "1" }, within = 5 }).attempts, 1)
    t.equal(api:head("/me").status, 200)
    t.fails("recipe.argument", api.get, api, "http://elsewhere.example/me")
    t.fails("recipe.argument", api.get, api, "/me/../../elsewhere")
    t.fails("recipe.argument", api.get, api, "/me/%2e%2E")
    local fresh = here:http():session { base = odd }
    t.equal(fresh:get("/me").status, 401)
  end },
  { "an answer that comes before the request was sent is read, though the connection is reset", function(t, here)
    local body = ("x"):rep(8 << 20)
    for _ = 1, 5 do
      local answer = here:http().request { method = "POST", url = odd .. "/early", body = body }
      t.equal(answer.status, 413)
      t.equal(answer.body, "too big")
    end
  end },
  { "redirects are followed as often as it was said", function(t, here)
    local web = here:http()
    local answer = web:get(odd .. "/hop/3")
    t.equal(answer.status, 302)
    t.equal(answer.redirect, odd .. "/hop/2")
    t.equal(web:get(odd .. "/hop/3", { follow = 3 }).body, "arrived")
    t.equal(web:get(odd .. "/hop/3", { follow = true }).url, odd .. "/hop/0")
    t.fails("http.redirects", web.get, odd .. "/hop/3", { follow = 2 })
    t.fails("http.redirects", web.get, odd .. "/loop", { follow = true })
    t.fails("recipe.argument", web.get, odd .. "/loop", { follow = -1 })
  end },
  { "a redirect to another place goes there", function(t, here)
    local moved = here:http():get(tls("GOOD") .. "moved", { ca = ca, follow = true, bearer = "bearer-12345" })
    t.equal(moved.body, "here\n")
    local up = here:http():get(("http://localhost:%s/up"):format(env.WORLD_PLAIN), { ca = ca, follow = true })
    t.equal(up.body, "secure\n")
  end },
  { "no key goes along to another place", function(t, here)
    local options = { follow = true, bearer = "bearer-12345",
      headers = { ["X-Api-Key"] = "key-1234567", ["X-Other"] = "1" } }
    local answer = here:http():get(odd .. "/away", options)
    t.equal(answer.status, 200)
    t.equal(sent_headers(answer).Authorization, nil)
    t.equal(sent_headers(answer)["X-Api-Key"], nil)
    t.equal(sent_headers(answer)["X-Other"], "1")
    t.equal(sent_headers(here:http():get(odd .. "/echo", options))["X-Api-Key"], "key-1234567")
  end },
  { "what asks again and again lets no key go along either", function(t, here)
    if through_ssh then return end
    local web, options = here:http(), { follow = true, bearer = "bearer-12345", within = 5 }
    local answer = web.expect(odd .. "/away", options)
    t.equal(answer.status, 200)
    t.equal(sent_headers(answer).Authorization, nil)
    for name, value in pairs { ["X-Api-Key"] = "key-1234567", ["X-Note"] = "see " .. secret("CHECKS_KEY") } do
      options.headers = { [name] = value }
      local problem = t.fails("recipe.argument", web.expect, odd .. "/away", options)
      if problem then t.matches(problem.message, "with the header " .. name:gsub("%-", "%%-")) end
      local again = { url = odd .. "/away", follow = true, headers = options.headers }
      t.fails("recipe.argument", web.watch, again)
      t.fails("recipe.argument", web.probe, again)
      t.equal(sent_headers(web.get(odd .. "/away", { follow = true, headers = options.headers }))[name], nil)
    end
    options.headers = { Authorization = "Token 12345678", ["X-Other"] = "1" }
    t.equal(sent_headers(web.expect(odd .. "/away", options)).Authorization, nil)
  end },
  { "a session takes what its requests take", function(t, here)
    local line = "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tkept-from-before"
    local api = here:http():session { base = odd, user = "bob", password = "pass-12345", connect_timeout = 5,
      max_body = 5000, cookies = { line } }
    local me = api:get("/echo")
    t.matches(sent_headers(me).Authorization or "", "^Basic ")
    t.equal(sent_headers(me).Cookie, "session=kept-from-before")
    t.equal(here:http():session { base = odd, max_body = 4 }:get("/echo").truncated, true)
    t.fails("http.connect", function()
      here:http():session { base = odd, unix_socket = "/nowhere/to/be.sock" }:get("/echo")
    end)
    t.fails("recipe.option", here:http().session, { base = odd, max_bodies = 5 })
    t.fails("recipe.argument", here:http().session, { base = odd, cookies = "session=1" })
  end },
  { "what asks one place again and again does not follow through SSH", function(t, here)
    if through_ssh then
      t.fails("recipe.argument", here:http().expect, odd .. "/hop/1", { follow = true, within = 1 })
      t.fails("recipe.argument", here:http().watch, { url = odd .. "/hop/1", follow = true, during = 1 })
    else
      t.equal(here:http():expect(odd .. "/hop/1", { follow = true, within = 5 }).status, 200)
    end
  end },
  { "a POST that is answered with 303 is followed by a GET, with its cookies", function(t, here)
    local answer = here:http():session { base = odd }:post("/form", { json = { a = 1 }, follow = true })
    t.equal(answer.json and answer.json.method, "GET")
    t.equal(answer.json and answer.json.sent, "")
    t.equal(sent_headers(answer).Cookie, "seen=by-the-form")
  end },
  { "headers and then nothing end with the time-out", function(t, here)
    local problem = t.fails("http.timeout", here:http().get, odd .. "/headers", { timeout = 0.5 })
    if problem then t.matches(problem.message, "an answer began but did not end") end
    t.fails("http.timeout", here:http().get, odd .. "/silent", { timeout = 0.5 })
  end },
  { "a body of 1 GB is cut off at the bound", function(t, here)
    local answer = here:http():get(odd .. "/huge", { timeout = 60 })
    t.equal(#(answer.body or ""), 1048576)
    t.equal(answer.truncated, true)
    local sent = tonumber(host("local"):read("cat " .. env.WORLD .. "/odd.sent 2>/dev/null || echo 0"))
    if t.real and sent > 256 * 1024 * 1024 then fail("the server could send " .. sent .. " bytes") end
    t.equal(#(here:http():get(odd .. "/huge", { max_body = 1000 }).body or ""), 1000)
    local problem = t.fails("http.expect_failed", here:http().expect, odd .. "/huge", { body = "yz", attempts = 1,
      timeout = 30 })
    if problem then t.matches(problem.message, "the part of the body that was kept") end
    t.equal(here:http():get(odd .. "/echo").truncated, nil)
  end },
  { "a certificate is verified: expired, wrong name, self-signed, unknown authority", function(t, here)
    local web = here:http()
    t.equal(web:get(tls("GOOD"), { ca = ca }).body, "secure\n")
    t.equal(web:get(tls("GOOD"), { tls = { ca = ca } }).body, "secure\n")
    for name, code in pairs { EXPIRED = "http.tls_expired", WRONG = "http.tls_name", SELF = "http.tls_untrusted" } do
      local problem = t.fails(code, web.get, tls(name), { ca = ca })
      if problem then t.equal(type(problem.hint), "string") end
      problem = t.fails("http.expect_failed", web.expect, tls(name), { ca = ca, within = 0.3 })
      if problem then t.equal(problem.cause.code, code) end
    end
    t.fails("http.tls_untrusted", web.get, tls("GOOD"))
    t.equal(web:get(tls("SELF"), { tls = { verify = false } }).body, "secure\n")
  end },
  { "a certificate tells its days, names and issuer, and whether it is trusted", function(t, here)
    local good = here:http():certificate("localhost:" .. env.WORLD_GOOD, { ca = ca })
    t.equal(good.days_left, 40)
    t.equal(good.trusted, true)
    t.equal(good.subject, "CN = localhost")
    t.equal(good.issuer, "CN = Test Authority")
    t.equal(good.names and table.concat(good.names, " "), "localhost www.localhost")
    t.matches(good.expires, "^%d%d%d%d%-%d%d%-%d%d ")
    local expired = here:http():certificate(tls("EXPIRED"), { ca = ca })
    t.equal(expired.days_left, -2)
    t.equal(expired.trusted, false)
    t.equal(expired.error, "http.tls_expired")
    t.equal(here:http():certificate(tls("WRONG"), { ca = ca }).error, "http.tls_name")
    t.equal(here:http():certificate(tls("SELF"), { ca = ca }).error, "http.tls_untrusted")
    t.fails("recipe.argument", here:http().certificate, odd)
    t.fails("http.connect", here:http().certificate, "localhost:1")
    t.fails("http.timeout", here:http().certificate, "localhost:" .. env.WORLD_MUTE, { timeout = 0.5 })
  end },
  { "a port is open or closed", function(t, here)
    local net = here:net()
    t.equal(net:port("localhost", tonumber(env.WORLD_PLAIN)).open, true)
    local closed = net:port("127.0.0.1", 1)
    t.equal(closed.open, false)
    t.equal(closed.why, "Connection refused")
    t.equal(here:port_open(1), false)
    t.equal(net:expect_port("127.0.0.1", tonumber(env.WORLD_PLAIN), { within = 5 }).open, true)
    t.equal(net:expect_port("127.0.0.1", 1, { open = false, within = 5 }).open, false)
    local problem = t.fails("net.port", net.expect_port, "127.0.0.1", 1, { within = 0.5 })
    if problem then t.matches(problem.message, "127.0.0.1:1 is still closed") end
    t.fails("recipe.argument", net.port, "http://127.0.0.1", 1)
    t.fails("recipe.argument", net.port, "127.0.0.1", 70000)
  end },
  { "a check waits until a port is open", function(t, here)
    here:run({ "sh", "-c", "cat >\"$1.py\"; python3 \"$1.py\" \"$1\" >/dev/null 2>&1 & echo $! >\"$1.pid\"", "sh",
      t.folder .. "/late" }, { stdin = late })
    here:check("test -s " .. t.folder .. "/late", { within = 10, every = 0.05 })
    local port = tonumber(here:read { "cat", t.folder .. "/late" }) or 1
    t.equal(here:net():expect_port("127.0.0.1", port, { within = 10 }).open, true)
    here:run({ "sh", "-c", "kill $(cat \"$1.pid\")", "sh", t.folder .. "/late" })
    t.equal(here:net():expect_port("127.0.0.1", port, { open = false, within = 10 }).open, false)
  end },
  { "a name has addresses, or none", function(t, here)
    t.equal(here:net():dns("127.0.0.1")[1], "127.0.0.1")
    t.equal(#here:net():dns("localhost") > 0, true)
    t.equal(#here:net():dns("nowhere.invalid"), 0)
    t.fails("recipe.argument", here:net().dns, "http://localhost")
  end },
  { "nothing listens there: the error says where it was tried", function(t, here)
    local problem = t.fails("http.connect", here:http().get, "http://127.0.0.1:1/")
    if problem and through_ssh then t.matches(problem.message, "127.0.0.1:1 gives no answer as seen from host1") end
  end },
})
