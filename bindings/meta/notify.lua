---@meta
-- Messages to people. The address of a webhook is a secret, wherever it came from.

---@class deployrun.Notify
notify = {}

---@class deployrun.NotifyOptions
---@field url string the webhook's address
---@field text string
---@field username? string
---@field required? boolean a message that is not delivered fails the run; default: it is a warning
---@field timeout? number|string default 30
---@field ca? string

---A message to a Slack channel, by an incoming webhook. Action: change; not repeated. True when it was delivered.
---
---Fails: recipe.argument; with required also notify.failed and as http.request.
---@param options deployrun.NotifyOptions
---@return boolean
function notify.slack(options) end

---A message to a Discord channel; what is longer than 2000 bytes is cut. As notify.slack.
---@param options deployrun.NotifyOptions
---@return boolean
function notify.discord(options) end

---Any JSON to any webhook. As notify.slack.
---@param options {url: string, json: table, headers?: table<string, string>, required?: boolean, timeout?: number|string, ca?: string}
---@return boolean
function notify.webhook(options) end
