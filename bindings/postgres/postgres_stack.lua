-- postgres_stack.lua - stack:postgres(service): the database of a compose service, wherever its container is just now.
local dr = ...
local look_into = dr.op("postgres.container")

-- True when a planned action may yet start the stack's containers.
local function may_come(stack)
  local _, assumed = stack.docker:containers { labels = { ["com.docker.compose.project"] = stack.project } }
  return assumed
end

-- Where the service's container is now, and who may use its database. In a dry run it may not be there yet; then
-- queries are not asked.
local function find_container(stack, service, given)
  local container = stack:ps(service)[1]
  if not container and not may_come(stack) then
    dr.fail { code = "docker.not_running", message = ("the service '%s' has no running container"):format(service),
      target = tostring(stack.target), hint = "start it first: stack:up { services = { \"" .. service .. "\" } }" }
  end
  local found = { host = service, dbname = service }
  if container then
    local seen = look_into(stack.target, { socket = stack.docker.socket, container = container.id,
      name = container.name })
    for _, key in ipairs { "host", "port", "user", "password", "dbname" } do found[key] = seen[key] end
  end
  for name, value in pairs(given) do found[name] = value end
  return found
end

-- The database of a compose service, at its container's address; user, password and name from its environment.
function dr.Stack:postgres(service, options)
  self:spec(service)
  local given = dr.postgres_keywords("stack:postgres", options)
  local found = dr.new_database(self.target, given, function() return find_container(self, service, given) end)
  found.place.service = self:service(service) -- as a target, where the programs are that fit its server
  return found
end
