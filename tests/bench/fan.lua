-- fan.lua - the benchmark's fan-out: one command, COUNT times, on each host, all hosts at the same time.
return recipe {
  name = "fan",
  summary = "Run a command on many hosts",
  params = {
    hosts = param.list { required = true },
    command = param.path { required = true, help = "a program on the hosts" },
    count = param.int { default = 1, help = "how often on each host, over one connection" },
  },
  run = function(p)
    parallel(p.hosts, function(name)
      local server = host(name)
      for _ = 1, p.count do server:run { p.command } end
    end)
  end,
}
