-- git.lua - a checkout, with a real git and a remote that is a folder: once by the target's git (target:git), and on
-- this machine once more by libgit2 (git.open). The cases are the same.
local spec = require "spec"

-- What the tests themselves do with git does not follow a person's settings: git_settings.sh has some that are hostile.
local identity = { GIT_CONFIG_GLOBAL = "/dev/null", GIT_AUTHOR_NAME = "a", GIT_AUTHOR_EMAIL = "a@b",
  GIT_COMMITTER_NAME = "a", GIT_COMMITTER_EMAIL = "a@b" }
local work, other

local function commit(view, name)
  view:run(("mkdir -p $(dirname %s) && echo %s >%s && git add . && git commit -qm %s"):format(name, name, name, name))
end

-- A new remote with one commit, and two checkouts of it.
local function begin(t, there)
  local folder = t.folder
  local here = there:env(identity)
  here:run { "rm", "-rf", folder .. "/remote", folder .. "/other", folder .. "/work" }
  here:run { "git", "init", "-q", "--bare", "-b", "main", folder .. "/remote" }
  here:run { "git", "clone", "-q", folder .. "/remote", folder .. "/other" }
  other = here:cd(folder .. "/other")
  other:run("git checkout -q -B main")
  commit(other, "one")
  other:run("git push -q -u origin main")
  here:run { "git", "clone", "-q", folder .. "/remote", folder .. "/work" }
  work = here:cd(folder .. "/work")
end

local function paths_of(changes)
  local found = {}
  for _, change in ipairs(changes) do found[change.path] = change end
  return found
end

-- The cases for one way to open a checkout.
local function cases(open)
  return {
    { "a remote and two checkouts", begin },
    { "where it is", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      t.equal(checkout:is_checkout(), true)
      t.equal(checkout:head(), work:read("git rev-parse HEAD"))
      t.equal(checkout:commit("main"), checkout:head())
      t.equal(checkout:branch(), "main")
      local status = checkout:status()
      t.equal(status.clean, true)
      t.equal(status.branch, "main")
      t.equal(status.upstream, "origin/main")
      t.equal(status.head, checkout:head())
      t.equal(status.ahead, 0)
      t.equal(status.behind, 0)
    end },
    { "a revision that does not exist is named", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      local function named(method, ...)
        local problem = t.fails("git.not_found", checkout[method], checkout, ...)
        if problem then t.matches(problem.message, ": no%-such%-revision$") end
      end
      named("commit", "no-such-revision")
      named("log", "no-such-revision")
      named("log", "HEAD", "no-such-revision")
      named("changed", "no-such-revision")
      named("tags", "no-such-revision")
      named("tag", "x", { revision = "no-such-revision" })
      named("checkout", "no-such-revision")
      named("reset", "no-such-revision")
      named("push", { tags = { "no-such-revision" } })
    end },
    { "what is no checkout", function(t, here)
      if t.real then
        t.equal(open(here, "/"):is_checkout(), false)
        t.equal(open(here, "/no/such/folder"):is_checkout(), false)
      end
      t.fails("git.not_a_checkout", function() return open(here, "/"):head() end)
      t.fails("git.not_a_checkout", function() return open(here, "/"):pull() end)
      t.fails("git.not_a_checkout", function() return open(here, "/"):update() end)
      t.fails("command.no_such_folder", function() return open(here, "/no/such/folder"):pull() end)
    end },
    { "local changes are seen", function(t, here)
      work:run("echo changed >>one; echo new >'a new file'; echo 1 >added; git add added")
      local status = open(here, t.folder .. "/work"):status()
      t.equal(status.clean, false)
      local found = paths_of(status.changes)
      if t.real then
        t.equal(found["one"].state, ".M")
        t.equal(found["a new file"].state, "??")
        t.equal(found["added"].state, "A.")
      end
      work:run("git rm -q --cached added; rm added; git checkout -q one; git mv one three")
      found = paths_of(open(here, t.folder .. "/work"):status().changes)
      if t.real then
        t.equal(found["three"].state, "R.")
        t.equal(found["three"].from, "one")
      end
      work:run("git reset -q --hard; git clean -qfd")
    end },
    { "a submodule is changed with its commit and its files, not with what git does not know", function(t, here)
      local function state()
        local status = open(here, t.folder .. "/work"):status()
        local sub = paths_of(status.changes)["sub"]
        return sub and sub.state or status.clean and "clean" or "others"
      end
      local function is(state_of_it)
        if t.real then t.equal(state(), state_of_it) end
      end
      work:env { REMOTE = t.folder .. "/remote" }:run(
        'git -c protocol.file.allow=always submodule --quiet add "$REMOTE" sub')
      work:run("git commit -qm sub")
      is("clean")
      work:run("echo new >sub/unknown")
      is("clean")
      work:run("echo changed >>sub/one")
      is(".M")
      work:run("git -C sub checkout -q one; git -C sub commit -q --allow-empty -m other")
      is(".M")
      work:run("git add sub")
      is("M.")
      work:run("git reset -q --hard HEAD~1; rm -rf sub .git/modules/sub")
      is("clean")
    end },
    { "what is in the history", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      commit(work, "backend/two")
      commit(work, "three")
      work:run("git tag v1; git tag -a -m released v2 HEAD~1")
      local log = checkout:log("origin/main")
      if t.real then
        t.equal(#log, 2)
        t.equal(log[1].subject, "three")
        t.equal(log[1].commit, checkout:head())
        t.equal(log[1].author, "a")
        t.equal(log[1].time > 1600000000, true)
        t.equal(#checkout:log(), 3)
        t.equal(#checkout:log(nil, "HEAD", { limit = 1 }), 1)
        t.equal(checkout:log("origin/main", "HEAD", { paths = { "backend" } })[1].subject, "backend/two")
        t.equal(#checkout:log("origin/main", "HEAD", { paths = { "backend" } }), 1)
      end
      t.equal(table.concat(checkout:changed("origin/main"), " "), "backend/two three")
      t.equal(table.concat(checkout:changed("HEAD~1", "HEAD"), " "), "three")
      t.equal(table.concat(checkout:changed("origin/main", "HEAD", { paths = "backend/" }), " "), "backend/two")
      t.equal(table.concat(checkout:tags(), " "), "v1")
      t.equal(table.concat(checkout:tags("HEAD~1"), " "), "v2")
      t.equal(checkout:commit(":/three"), checkout:head())
      t.equal(checkout:commit(":/backend"), checkout:commit("HEAD~1"))
      if t.real then t.equal(#checkout:log(":/backend"), 1) end
      t.equal(table.concat(checkout:changed(":/backend", ":/three"), " "), "three")
    end },
    { "names are from the top of the checkout, also in a folder of it", function(t, here)
      work:run("echo new >backend/unknown; echo changed >>backend/two")
      local checkout = open(here, t.folder .. "/work/backend")
      local found = paths_of(checkout:status().changes)
      if t.real then
        t.equal(found["backend/two"].state, ".M")
        t.equal(found["backend/unknown"].state, "??")
      end
      t.equal(table.concat(checkout:changed("origin/main"), " "), "backend/two three")
      work:run("rm backend/unknown; git checkout -q backend")
    end },
    { "a tag is made once, and never moved", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      t.equal(checkout:tag("release-1").created, true)
      t.equal(checkout:tag("release-1").created, false)
      t.equal(work:read("git rev-parse release-1"), checkout:head())
      t.fails("git.exists", checkout.tag, checkout, "release-1", { revision = "HEAD~1" })
      t.fails("git.not_found", checkout.tag, checkout, "release-2", { revision = "nothing" })
      work:run("git config user.name a; git config user.email a@b")
      t.equal(checkout:tag("release-3", { message = "third", revision = "HEAD~1" }).created, true)
      t.equal(work:read("git cat-file -t release-3"), "tag")
      t.equal(checkout:tag("release-4", { message = "#4 is out" }).created, true)
      t.equal(work:read("git tag -l release-4 --format='%(contents)'"), "#4 is out")
    end },
    { "what is pushed is known, and pushing brings it there", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      t.equal(checkout:is_pushed(), false)
      t.equal(checkout:push { tags = { "v1" } }.pushed, true)
      t.equal(checkout:is_pushed(), true)
      t.equal(checkout:push { tags = { "v1" } }.pushed, false)
      t.equal(other:read("git ls-remote -q origin v1 | cut -f1"), checkout:head())
      t.equal(checkout:is_pushed { branch = "nothing" }, false)
      t.fails("git.no_remote", checkout.is_pushed, checkout, { remote = t.folder .. "/nothing" })
    end },
    { "pull brings what is new", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      t.equal(checkout:pull().moved, false)
      local before = checkout:head()
      other:run("git pull -q")
      commit(other, "four")
      other:run("git push -q")
      local pulled = checkout:pull { ff_only = true }
      t.equal(pulled.moved, true)
      t.equal(pulled.from, before)
      t.equal(pulled.to, checkout:head())
      t.equal(table.concat(pulled.changed, " "), "four")
      t.equal(pulled.to, other:read("git rev-parse HEAD"))
    end },
    { "local changes are not overwritten, and the files are named", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      work:run("echo changed >four")
      other:run("echo four again >four && git commit -qam again && git push -q")
      for _, method in ipairs { "pull", "update" } do
        local problem = t.fails("git.dirty", checkout[method], checkout)
        if problem then t.matches(problem.message, ": four$") end
      end
      for _, method in ipairs { "checkout", "reset" } do
        local problem = t.fails("git.dirty", checkout[method], checkout, "HEAD~1")
        if problem then t.matches(problem.message, ": four$") end
      end
      t.equal(work:read("cat four"), "changed")
    end },
    { "a stash takes local changes away, and pop brings them back", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      t.equal(checkout:stash().stashed, true)
      t.equal(checkout:status().clean, true)
      t.equal(checkout:stash().stashed, false)
      local popped = checkout:pop()
      t.equal(table.concat(popped.kept, " "), "four")
      t.equal(work:read("cat four; git stash list"), "changed")
      t.fails("git.not_found", function()
        work:run("git checkout -q four")
        checkout:pop()
      end)
    end },
    { "a pop that conflicts changes nothing", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      work:run("echo mine >four")
      checkout:stash { message = "mine" }
      checkout:pull()
      local problem = t.fails("git.conflict", checkout.pop, checkout)
      if problem then t.matches(problem.message, ": four$") end
      t.equal(work:read("cat four"), "four again")
      t.matches(work:read("git stash list"), "mine")
      local popped = checkout:pop { ours = "four" }
      if t.real then t.equal(popped.conflicts[1].path, "four") end
      t.equal(work:read("cat four; git stash list"), "mine")
      work:run("git checkout -q four")
    end },
    { "hard loses changes, keep carries them, and neither is the default", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      local head = checkout:head()
      work:run("echo changed >one")
      t.equal(checkout:reset("HEAD~1", { keep = true }).from, head)
      t.equal(work:read("cat one"), "changed")
      local reset = checkout:reset(head, { hard = true })
      t.equal(reset.to, head)
      t.equal(work:read("cat one; git status --porcelain"), "one")
      work:run("echo changed >one")
      checkout:checkout("HEAD~1", { keep = true })
      t.equal(work:read("cat one"), "changed")
      checkout:checkout("main", { hard = true })
      t.equal(work:read("cat one"), "one")
      t.fails("recipe.argument", checkout.reset, checkout, "main", { hard = true, keep = true })
      local problem = t.fails("recipe.option", checkout.reset, checkout, "main", { hrad = true })
      if problem then t.equal(problem.message, "checkout:reset has no option 'hrad'") end
      if problem then t.matches(problem.hint, "^did you mean 'hard'") end
    end },
    { "a revert is a commit that takes one back", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      commit(work, "wrong")
      commit(work, "after")
      local before = checkout:head()
      local reverted = checkout:revert("HEAD~1")
      t.equal(reverted.from, before)
      t.equal(reverted.moved, true)
      t.equal(table.concat(reverted.changed, " "), "wrong")
      t.equal(work:read("ls; git status --porcelain; git log -1 --format=%s"):find("wrong\n") == nil, true)
      t.matches(work:read("git log -1 --format=%s"), "^Revert \"wrong\"")
      t.equal(checkout:revert("HEAD~2").moved, false)
      work:run("echo changed >one && git commit -qam changed && echo again >one && git commit -qam again")
      local problem = t.fails("git.conflict", checkout.revert, checkout, "HEAD~1")
      if problem then t.matches(problem.message, ": one$") end
      t.equal(checkout:status().clean, true)
    end },
    { "a diverged checkout is not merged", function(t, here)
      other:run("git pull -q")
      commit(other, "theirs")
      other:run("git push -q")
      local checkout = open(here, t.folder .. "/work")
      for _, method in ipairs { "pull", "update" } do
        local problem = t.fails("git.diverged", checkout[method], checkout)
        if problem then t.matches(problem.message, ": %d+ commits only here, 1 only there$") end
      end
      t.fails("git.diverged", checkout.push, checkout)
    end },
    { "checkout and reset move it", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      checkout:fetch { prune = true }
      local moved = checkout:reset("origin/main")
      t.equal(moved.moved, true)
      t.equal(moved.to, other:read("git rev-parse HEAD"))
      t.equal(checkout:checkout("HEAD~1").to, other:read("git rev-parse HEAD~1"))
      if t.real then t.equal(checkout:branch(), nil) end
      t.fails("git.detached", checkout.pull, checkout)
      t.fails("git.detached", checkout.update, checkout)
      t.fails("git.detached", checkout.push, checkout)
      t.fails("git.detached", checkout.is_pushed, checkout)
      t.fails("git.not_found", checkout.checkout, checkout, "no-such-revision")
      t.fails("git.not_found", checkout.reset, checkout, "no-such-revision")
      t.fails("recipe.argument", checkout.checkout, checkout, "--orphan")
      checkout:checkout("main")
    end },
    { "a lock names its file and its age, and who holds it", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      work:run("touch -d '1 hour ago' .git/index.lock")
      for _, method in ipairs { "reset", "checkout" } do
        local problem = t.fails("git.locked", checkout[method], checkout, "HEAD~1")
        if problem then t.matches(problem.message, "index%.lock, made 36%d%d s ago, held by no git process") end
      end
      work:run("(exec 8>.git/index.lock; exec git cat-file --batch </dev/zero >/dev/null 2>&1 & echo $! >holder)")
      local problem = t.fails("git.locked", checkout.reset, checkout, "HEAD~1")
      if problem then t.matches(problem.message, "held by process " .. work:read("cat holder") .. " git cat%-file") end
      work:run("kill $(cat holder); rm .git/index.lock holder")
      t.equal(checkout:status().clean, true)
    end },
    { "a missing remote, a missing branch, an unreachable host", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      for _, method in ipairs { "pull", "update" } do
        t.fails("git.not_found", checkout[method], checkout, { remote = "origin", branch = "none" })
        t.fails("git.no_remote", checkout[method], checkout, { remote = "elsewhere", branch = "main" })
      end
      t.fails("git.no_remote", checkout.fetch, checkout, { remote = "elsewhere" })
      t.fails("git.unreachable", checkout.fetch, checkout, { remote = "http://127.0.0.1:1/x.git", timeout = 20 })
    end },
    { "histories with nothing in common", function(t, here)
      local checkout = open(here, t.folder .. "/work")
      other:run("git checkout -q --orphan new && git commit -qm new && git push -q origin new")
      t.fails("git.unrelated", checkout.update, checkout, { branch = "new" })
      t.fails("git.unrelated", checkout.pull, checkout, { branch = "new" })
      other:run("git checkout -q main")
    end },
    { "a shallow clone goes forward, and says when it cannot know", function(t, here)
      local folder = t.folder .. "/shallow"
      local checkout = open(here, folder)
      local cloned = checkout:clone("file://" .. t.folder .. "/remote", { depth = 1, branch = "main" })
      t.equal(cloned.cloned, true)
      t.equal(cloned.commit, other:read("git rev-parse HEAD"))
      t.equal(checkout:clone("file://" .. t.folder .. "/remote").cloned, false)
      t.fails("git.exists", checkout.clone, checkout, "file:///elsewhere")
      commit(other, "deeper")
      other:run("git push -q")
      t.equal(checkout:update().moved, true)
      other:run("git push -q origin HEAD~2:refs/heads/old")
      t.fails("git.shallow", checkout.update, checkout, { branch = "new" })
      here:run { "rm", "-rf", folder }
    end },
    { "a clone of nothing leaves nothing", function(t, here)
      local checkout = open(here, t.folder .. "/none")
      t.fails("git.no_remote", checkout.clone, checkout, t.folder .. "/nothing")
      t.equal(here:read("ls " .. t.folder):find("none") == nil, true)
    end },
    { "a checkout of another user is refused with a hint", function(t, here)
      if here:read("id -u") ~= "0" then return end
      work:run("chown -R 1:1 .")
      for _, method in ipairs { "head", "status", "pull", "update" } do
        local checkout = open(here, t.folder .. "/work")
        local problem = t.fails("git.unsafe_owner", checkout[method], checkout)
        if problem then t.matches(problem.hint, "safe.directory") end
      end
    end },
    { "a new repository has no commit", function(t, here)
      here:run { "git", "init", "-q", "-b", "main", t.folder .. "/new" }
      local checkout = open(here, t.folder .. "/new")
      t.fails("git.not_found", checkout.head, checkout)
      t.equal(checkout:status().head, nil)
      if t.real then t.equal(checkout:branch(), "main") end
      here:run { "rm", "-rf", t.folder .. "/new" }
    end },
  }
end

local all = {}
local function add(name, list, local_only)
  for _, case in ipairs(list) do
    all[#all + 1] = { name .. ": " .. case[1], function(t, here)
      if not (local_only and env.SPEC_SSH_CONFIG) then case[2](t, here) end
    end }
  end
end
add("target:git", cases(function(here, folder) return here:git(folder) end))
add("git.open", cases(function(_, folder) return git.open(folder) end), true)

return spec.recipe("git", all)
