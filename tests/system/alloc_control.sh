#!/bin/sh
# alloc_control.sh - the sweep of alloc_sweep.sh over the bindings that control what runs on a server: Docker, compose,
# swarm, git, processes, systemd, gunicorn. The engine and git are real; compose, systemctl and gunicorn are programs that
# answer as the real ones do, because here they are started some hundred times. Argument: the library that makes allocations fail.
set -eu
export FAIL_ROW=2
library=$1
# shellcheck source=tests/system/sweep.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/sweep.sh"
me=deployrun-alloc-$$
image=deployrun-test/base:1
master=
end() {
  [ -z "$master" ] || kill "$master" 2>/dev/null || true
  docker ps -aq --filter "label=$me" | xargs -r docker rm -f >/dev/null
  docker network ls -q --filter "name=$me" | xargs -r docker network rm >/dev/null
  docker volume ls -q --filter "name=$me" | xargs -r docker volume rm >/dev/null
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# sweep_done LABEL STEP ARGUMENT…: the same, of a run that does all when none fails.
sweep_done() {
  (shift 2 && "$DEPLOYRUN" "$@" >out 2>&1) || { echo "FAILED: $1, with all its memory"; cat out; exit 1; }
  sweep "$@"
}

mkdir -p bin project
docker=$(command -v docker)
cat >bin/docker <<END
#!/bin/sh
case \$* in
  "compose version --short") echo 2.24.5 ;;
  "compose "*" config") printf 'name: shop\nservices:\n  api:\n    image: $image\n    ports: ["80:80"]\n' ;;
  "compose "*) echo done ;;
  *) exec "$docker" "\$@" ;;
esac
END
cat >bin/systemctl <<'END'
#!/bin/sh
case $* in
  *show*) printf 'Id=app.service\nNames=app.service\nLoadState=loaded\nActiveState=active\nSubState=running\nType=simple\nMainPID=%s\nNRestarts=0\nResult=success\nCanReload=yes\nInvocationID=0123456789abcdef0123456789abcdef\n' $$ ;;
esac
END
# A master with one worker, which HUP replaces.
cat >bin/gunicorn <<'END'
#!/usr/bin/python3
import os, signal, sys

if "--check-config" in sys.argv: sys.exit()
signals = {signal.SIGHUP, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
for number in signals: signal.signal(number, lambda *_: None)
received = signal.SIGHUP
while received == signal.SIGHUP:
    worker = os.fork()
    while worker == 0: signal.pause()
    received = signal.sigwait(signals)
    os.kill(worker, signal.SIGKILL)
    os.wait()
END
chmod +x bin/docker bin/systemctl bin/gunicorn
PATH=$PWD/bin:$PATH

docker run -d --init --name "$me" --label "$me" "$image" sleep 1000 >/dev/null
cat >docker.lua <<LUA
return recipe { name = "docker", run = function()
  local docker = host("local"):docker()
  docker:info()
  docker:containers { labels = { ["$me"] = "" }, all = true }
  docker:inspect("$me")
  docker:image("$image")
  docker:images()
  docker:networks()
  docker:logs("$me", { tail = 3 })
  docker:top("$me")
  docker:events { since = 1, until_ = 2 }
  docker:exec("$me", { "true" })
  docker:network_create("$me-net")
  docker:tag("$image", "$me:tag" .. env.FAIL_PART)
  docker:remove_image("$me:tag" .. env.FAIL_PART)
  docker:wait_running("$me", { settled = 0 })
  pcall(docker.pull, docker, "127.0.0.1:1/none:1")
  pcall(docker.wait_log, docker, "$me", "never", { within = 0.05 })
end }
LUA
cat >stats.lua <<LUA
return recipe { name = "stats", run = function() host("local"):docker():stats("$me") end }
LUA
cat >containers.lua <<LUA
return recipe { name = "containers", run = function()
  local docker = host("local"):docker()
  local fields = { image = "$image", init = true, labels = { ["$me"] = "" }, ports = { "127.0.0.1::80" },
    env = { A = "b" }, volumes = { "/tmp:/mnt:ro" }, command = { "true" } }
  docker:oneoff(fields)
end }
LUA
cat >objects.lua <<LUA
return recipe { name = "objects", run = function()
  local docker = host("local"):docker()
  docker:volume_create("$me-volume")
  docker:volumes("$me-volume")
  pcall(docker.network_connect, docker, "none", "$me")
  pcall(docker.network_disconnect, docker, "none", "$me")
  pcall(docker.network_remove, docker, "$me-none")
  docker:prunable { repository = "deployrun-none", keep = 1 }
  docker:prune { repository = "deployrun-none", keep = 1 }
  docker:env_file("values.env")
  docker:start("$me")
  docker:kill("$me", { signal = "CONT" })
  pcall(docker.wait_healthy, docker, "$me", { within = 0.05 })
  pcall(docker.wait_exited, docker, "$me", { within = 0.05 })
  pcall(docker.wait_event, docker, { filters = { container = "$me-none" }, within = 0.05 })
  pcall(docker.push, docker, "127.0.0.1:1/none:1")
  pcall(docker.restart, docker, "$me-none")
  pcall(docker.stop, docker, "$me-none")
  pcall(docker.login, docker, { registry = "127.0.0.1:1", username = "u", password = "some-password" })
end }
LUA
echo 'A=1' >values.env
# Two runs at a time, of which each needs a name of its own.
cat >replaced.lua <<LUA
return recipe { name = "replaced", run = function()
  local here = host("local")
  local docker = here:docker()
  local name = "$me-" .. here:read { "sh", "-c", "echo \$PPID" }
  local fields = { image = "$image", name = name, init = true, labels = { ["$me"] = "" }, command = { "sleep", "1000" },
    network = "none" } -- a bridge has room for a thousand, and what a run without memory began stays
  docker:run(fields)
  fields.env, fields.steady = { A = "b" }, 0
  docker:replace(fields)
  docker:remove(name, { force = true })
end }
LUA
cat >compose.lua <<LUA
return recipe { name = "compose", run = function()
  local stack = host("local"):compose { dir = "project", project = "$me" }
  stack:build()
  stack:up { services = { "api" }, scale = { api = 2 } }
  stack:scale("api", 1)
  stack:logs("api")
  stack:kill("api", { signal = "HUP" })
  stack:pull()
  stack:start { "api" }
  stack:stop { "api" }
  stack:restart { "api" }
  stack:remove { "api" }
  stack:down()
  local swarm = host("local"):swarm()
  swarm:info()
  pcall(swarm.services, swarm)
  pcall(swarm.converge, swarm, "none", { within = 0.1 })
  pcall(swarm.service_update, swarm, "none", { env = { A = "b" } })
  pcall(swarm.rollback, swarm, "none")
  pcall(swarm.remove, swarm, "none")
end }
LUA
rm -rf origin work1 work2 # of an earlier run
git init -q -b main origin
git -C origin -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m first
for part in 1 2; do git clone -q origin work$part; done # two pulls at once in one checkout are in each other's way
cat >git.lua <<'LUA'
return recipe { name = "git", run = function()
  local checkout = "work" .. env.FAIL_PART
  local code = host("local"):git(checkout)
  code:status()
  code:head()
  code:log(nil, nil, { limit = 3 })
  code:fetch()
  code:pull()
  code:tag("v1")
  code:branch()
  code:commit("HEAD")
  code:tags("HEAD")
  code:is_checkout()
  code:is_pushed()
  code:changed("HEAD", "HEAD")
  code:checkout("main")
  code:update()
  code:reset("HEAD")
  code:stash()
  pcall(code.pop, code)
  code:push()
  pcall(code.revert, code, "none")
  pcall(function() host("local"):git(checkout):clone("origin") end)
  local mine = git.open(checkout)
  mine:status()
  mine:log(nil, nil, { limit = 3 })
end }
LUA
cat >units.lua <<'LUA'
return recipe { name = "units", run = function()
  local here = host("local")
  local unit = here:systemd("app")
  unit:status()
  unit:restart { settled = 0 }
  unit:start { settled = 0 }
  unit:reload { settled = 0 }
  unit:logs()
  unit:enable()
  unit:disable()
  unit:reset_failed()
  unit:daemon_reload()
  pcall(here.signal, here, 1, "WINCH", { handler = true })
  pcall(here.wait_gone, here, 1, { within = 0.05 })
  here:processes { name = "sh" }
  pcall(here.gunicorn, here, {})
end }
LUA
cat >reload.lua <<'LUA'
return recipe { name = "reload", run = function()
  host("local"):gunicorn("app"):reload { settled = 0, within = 5 }
end }
LUA
mkdir -p app
(cd app && exec "$OLDPWD/bin/gunicorn") &
master=$!
sweep_done 'containers, images, networks' 997 docker.lua
sweep_done 'what a container uses' 997 stats.lua
sweep_done 'volumes, and waits that fail' 997 objects.lua
sweep_done 'a one-off container' 499 containers.lua
sweep_done 'a container that is replaced' 997 replaced.lua
sweep_done 'compose and swarm' 997 compose.lua
sweep_done 'git' 997 git.lua
sweep_done 'units and processes' 997 units.lua
sweep_done 'gunicorn' 997 reload.lua
swept_well
