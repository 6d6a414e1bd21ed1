-- notify.lua - the global `notify`: a message to Slack, Discord or any webhook. An action; its op is in http.c.
-- meta/notify.lua documents the functions.
local dr = ...
local send = dr.op("notify.send")
local core = dr.core.http

local function wrong(what, message)
  return dr.wrong(what .. ": " .. message, what .. " { url = secret(\"WEBHOOK_URL\"), text = \"…\" }")
end

-- A webhook's address lets anybody write: it is a secret, wherever it came from.
local function check_url(what, url)
  if type(url) ~= "string" or not url:find("^https?://") then wrong(what, "url is the address of a webhook") end
  core.mask("webhook url", url)
  local path = url:match("^https?://[^/]+/(.+)$")
  if path and #path >= 8 then core.mask("webhook url", path) end
end

local function failed(what, options, problem)
  if options.required then return dr.fail(problem) end
  dr.globals.warn(("%s: the message was not delivered: %s"):format(what, problem.message))
  return false
end

local function deliver(what, options, json)
  local ok, answer = pcall(send, nil, { url = options.url, json = json, headers = options.headers,
    timeout = options.timeout, service = what, ca = options.ca, method = "POST" })
  if not ok then
    if type(answer) ~= "table" or answer.code:find("^recipe%.") or answer.code == "cancelled" then error(answer) end
    if options.required then error(answer) end
    return failed(what, options, answer)
  end
  if dr.assumed(answer) or (answer.status >= 200 and answer.status < 300) then return true end
  return failed(what, options, { code = "notify.failed",
    message = ("%s answered with status %d"):format(what, answer.status),
    detail = #answer.body > 500 and answer.body:sub(1, 500) .. "…" or answer.body,
    hint = "is the webhook still there?" })
end

-- The text, or so much of it that with "…" it has `limit` letters; bytes count where it is no UTF-8.
local function cut(text, limit)
  local letters = utf8.len(text)
  if (letters or #text) <= limit then return text end
  return text:sub(1, letters and utf8.offset(text, limit) - 1 or limit - 3) .. "…"
end

local text_options = { url = true, text = true, required = true, timeout = true, username = true, ca = true }

local function with_text(what, field, limit)
  return function(options)
    if type(options) ~= "table" then wrong(what, "it takes a table") end
    dr.check_options(what, options, text_options)
    check_url(what, options.url)
    if type(options.text) ~= "string" or options.text == "" then wrong(what, "text is the message") end
    return deliver(what, options, { [field] = cut(options.text, limit), username = options.username })
  end
end

local notify = {
  slack = with_text("notify.slack", "text", 40000),
  discord = with_text("notify.discord", "content", 2000),
}

function notify.webhook(options)
  if type(options) ~= "table" then wrong("notify.webhook", "it takes a table") end
  dr.check_options("notify.webhook", options,
    { url = true, json = true, headers = true, required = true, timeout = true, ca = true })
  check_url("notify.webhook", options.url)
  if type(options.json) ~= "table" then wrong("notify.webhook", "json is the message, a table") end
  return deliver("notify.webhook", options, options.json)
end

dr.global("notify", setmetatable({}, dr.class("notify", notify)))
