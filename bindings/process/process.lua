-- process.lua - server:processes{…}, :process(pid), :signal, :wait_gone: processes of a target. See process.c for the
-- ops, meta/process.lua for the documentation.
local dr = ...
local Target = dr.Target
local list, signal, gone = dr.op("process.list"), dr.op("process.signal"), dr.op("process.gone")

function Target:processes(filter)
  if filter ~= nil and type(filter) ~= "table" then
    dr.fail { code = "recipe.argument", message = ":processes takes a table that says which",
      hint = "server:processes { command = \"gunicorn\", owner = \"ubuntu\" }" }
  end
  return list(self, filter).processes
end

-- The process with this number, or nil.
function Target:process(pid)
  return list(self, { pid = pid }).processes[1]
end

-- The arguments that say which process: what :processes gave, or a number, which is looked up first.
local function identity(target, method, process)
  if math.type(process) == "integer" then
    local pid = process
    process = target:process(pid)
    if not process then
      if dr.dry() then return { pid = pid } end
      dr.fail { code = "process.gone", message = ("there is no process %d"):format(pid), target = target:name() }
    end
  end
  if type(process) ~= "table" or process.pid == nil then
    dr.fail { code = "recipe.argument", message = (":%s takes a process or its number"):format(method),
      hint = "a process is one of server:processes { … }" }
  end
  return { pid = process.pid, started = process.started, command = process.command }
end

function Target:signal(process, name, options)
  local args = identity(self, "signal", process)
  args.signal = name
  signal(self, dr.with_options("signal", options, args))
end

function Target:wait_gone(process, options)
  local args = identity(self, "wait_gone", process)
  args.started = args.started or 0
  return gone(self, dr.with_options("wait_gone", options, args)).seconds
end
