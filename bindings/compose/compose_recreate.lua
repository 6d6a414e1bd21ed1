-- compose_recreate.lua - stack:recreate(service): its containers made anew, of another image when one is given. The way
-- back to a release that is known to work: stop, remove, start; there is a gap.
--
-- The image is overridden by giving it the name that the compose file uses. So the next `up` means the same image, no
-- file is written, and both versions of compose do the same.
local dr = ...

local Stack = dr.Stack

-- The name under which the image that ran before is kept from being pruned.
local function rollback_name(stack, service)
  return ("deployrun-rollback/%s:%s"):format(stack.project:gsub("[^%w]+$", ""), service)
end

-- Records the image that `before`, a container of the service, was made of, unless it still runs.
function Stack:record_for_rollback(service, before)
  if not before.image_id then return end
  for _, container in ipairs(dr.dry() and {} or self:ps(service)) do
    if container.image_id == before.image_id then return end
  end
  self.docker:tag(before.image_id, rollback_name(self, service))
end

-- The image that ran before the last replace() or recreate(), in this run or an earlier one; nil when none is known.
function Stack:previous_image(service)
  local found, image = pcall(self.docker.image, self.docker, rollback_name(self, service))
  if found then return image.id end
  if image.code ~= "docker.no_such_image" then error(image, 0) end
  return nil
end

-- With as many containers as there were.
local function up_again(stack, service, options, before)
  local scale = #before > 1 and { [service] = #before } or nil
  stack:call("up", { services = { service }, no_deps = true, force_recreate = true, scale = scale,
    grace = options.grace })
  local fresh = stack:ps(service)
  if #fresh == 0 and not dr.dry() then
    dr.fail { code = "compose.not_started", message = "compose started no new container of " .. service,
      hint = "-v shows its output; `docker compose ps` shows what runs" }
  end
  for _, container in ipairs(dr.dry() and { { id = service, name = service } } or fresh) do
    stack.docker:wait_healthy(container, { within = options.healthy_within })
  end
end

local recreate_options = { image = true, grace = true, healthy_within = true }

-- recreate(service, { image=, grace=, healthy_within= }): `up -d --no-deps --force-recreate`; with image, of that one.
-- When the new container does not become healthy, the image that ran before gets its name back and is started again.
function Stack:recreate(service, options)
  options = options or {}
  dr.check_options("stack:recreate", options, recreate_options)
  local name = self:image(service)
  local before = self:ps(service)
  self.replaced[service] = { mode = "stop-first", containers = before,
    options = { healthy_within = options.healthy_within, grace = options.grace } }
  local _ <close> = setmetatable({}, { __close = function(_, problem)
    if problem == nil or not before[1] then return end
    self.docker:tag(before[1].image_id, name)
    up_again(self, service, options, before)
    if not dr.dry() then dr.globals.log(service .. " runs again, from the image it had before") end
  end })
  if options.image then self.docker:tag(options.image, name) end
  up_again(self, service, options, before)
  if before[1] then self:record_for_rollback(service, before[1]) end
end
