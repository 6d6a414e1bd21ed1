-- transfer_sudo.lua - files for other users, over SSH and a real sudo: whose they are before and after. Started by
-- transfer.sh, which makes t.folder a place that everybody may enter. Needs the user nobody and the secret TEST_TOKEN.
local spec = require "spec"

-- A folder of nobody's, as that user.
local function his(t, here)
  here:run({ "sh", "-c", "mkdir -p \"$1/his\" && chown nobody \"$1/his\" && chmod 700 \"$1/his\"", "sh", t.folder })
  return here:sudo("nobody"):cd(t.folder .. "/his")
end

local function whose(view, path) return view:read { "stat", "-c", "%U:%G %a", path } end

-- Two files of this machine.
local function sources(t)
  local mine = host("local"):cd(t.folder)
  mine:run("echo one >one; echo two >two")
  return t.folder .. "/one", t.folder .. "/two"
end

return spec.recipe("transfer_sudo", {
  { "a file by sudo belongs to the user that sudo became", function(t, here)
    local nobody, one = his(t, here), sources(t)
    nobody:upload(one, "file", { mode = "0604" })
    t.equal(whose(nobody, "file"), "nobody:nogroup 604")
  end },
  { "and does not change hands when root replaces it", function(t, here)
    local nobody, _, two = his(t, here), sources(t)
    here:upload(two, t.folder .. "/his/file")
    t.equal(whose(nobody, "file"), "nobody:nogroup 604")
    t.equal(nobody:read { "cat", "file" }, "two")
  end },
  { "root by sudo gives a file its owner, new, old, and where only that differs", function(t, here)
    local root, one, two = here:sudo():cd(t.folder), sources(t)
    root:upload(one, "given", { owner = "nobody", mode = "0640" })
    t.equal(whose(root, "given"), "nobody:root 640")
    t.equal(root:upload(two, "given", { owner = "nobody:nogroup" }).sent, t.real and 4 or nil)
    t.equal(whose(root, "given"), "nobody:nogroup 640")
    t.equal(root:upload(two, "given", { owner = "root:root" }).sent, t.real and 0 or nil)
    t.equal(whose(root, "given"), "root:root 640")
  end },
  { "a user cannot write where it may not, nor give away what it has", function(t, here)
    local nobody, one = his(t, here), sources(t)
    t.fails("transfer.denied", nobody.upload, nobody, one, t.folder .. "/x")
    t.fails("transfer.denied", nobody.upload, nobody, one, "kept", { owner = "root" })
    t.equal(nobody:read("ls -A; ls -A " .. t.folder .. "/x 2>/dev/null || true"), "file")
  end },
  { "whose a file is stays as it was, by upload, write and sync alike", function(t, here)
    local nobody, one = his(t, here), sources(t)
    local theirs = t.folder .. "/his/theirs"
    here:cd(t.folder):run("mkdir -p tree1; cp one tree1/theirs")
    for _, owner in ipairs { "root:www-data", "nobody:www-data" } do
      here:run({ "sh", "-c", "echo old >\"$1\"; chown \"$2\" \"$1\"; chmod 644 \"$1\"", "sh", theirs, owner })
      for what, err in pairs {
        upload = t.fails("transfer.denied", nobody.upload, nobody, one, "theirs"),
        write = t.fails("transfer.denied", nobody.write, nobody, "theirs", "new"),
        sync = t.fails("transfer.denied", nobody.sync, nobody, t.folder .. "/tree1", "../his"),
      } do
        t.matches(err.hint, "use :sudo%(%), or say owner = ")
        t.matches(what .. tostring(err.message) .. tostring(err.detail), (owner:gsub("%-", "%%-")))
      end
      t.equal(here:read { "cat", theirs }, "old")
      t.equal(whose(here, theirs), owner .. " 644")
      t.equal(nobody:read("ls -A | grep -c deployrun || true"), "0")
      -- Root can keep it.
      here:upload(one, theirs)
      t.equal(whose(here, theirs), owner .. " 644")
      here:write(theirs, "new")
      t.equal(whose(here, theirs), owner .. " 644")
      t.equal(here:sync(t.folder .. "/tree1", t.folder .. "/his").sent, t.real and 1 or nil)
      t.equal(whose(here, theirs) .. here:read { "cat", theirs }, owner .. " 644one")
    end
    -- What is not to be replaced is nobody's trouble, and who says so may have it.
    t.equal(nobody:upload(one, "theirs").changed, false)
    t.equal(nobody:write("theirs", "one\n").changed, false)
    nobody:write("theirs", "mine\n", { owner = "nobody:nogroup" })
    t.equal(whose(here, theirs), "nobody:nogroup 644")
    here:run { "rm", theirs }
  end },
  { "a folder that may not be written to is found before anything is sent", function(t, here)
    local nobody = his(t, here)
    local from = t.folder .. "/tree2"
    here:run({ "sh", "-c", "mkdir -p \"$1/d\"; echo 1 >\"$1/a\"; echo 1 >\"$1/d/x\"; chmod 555 \"$1/d\"", "sh", from })
    t.equal(nobody:sync(from, "tree").sent, t.real and 3 or nil)
    here:run({ "sh", "-c", "echo 2 >\"$1/a\"; echo 2 >\"$1/d/x\"", "sh", from })
    local err = t.fails("transfer.denied", nobody.sync, nobody, from, "tree")
    t.matches(err and err.message, "tree/d may not be written to")
    t.matches(err and err.hint, "chmod u%+w")
    t.equal(nobody:read("cat tree/a tree/d/x; ls -A tree"), "1\n1\na\nd")
    nobody:run("chmod u+w tree/d")
    t.equal(nobody:sync(from, "tree").sent, t.real and 2 or nil)
    nobody:run("chmod -R u+w tree; rm -r tree")
  end },
  { "a secret in the environment does not get into the file, nor the file into it", function(t, here)
    local view, one = here:env { TOKEN = secret("TEST_TOKEN") }, sources(t)
    view:sudo():upload(one, t.folder .. "/secretly")
    view:sudo():download(t.folder .. "/secretly", t.folder .. "/back")
    t.equal(here:read { "cat", t.folder .. "/back" }, "one")
  end },
  { "a folder is given an owner, too", function(t, here)
    sources(t)
    here:run { "sh", "-c", "mkdir \"$1/tree\" && cp \"$1/one\" \"$1/tree\"", "sh", t.folder }
    local root = here:sudo():cd(t.folder)
    t.equal(root:sync(t.folder .. "/tree", "synced", { owner = "nobody:nogroup" }).sent, t.real and 1 or nil)
    t.equal(whose(root, "synced/one"), "nobody:nogroup 644")
  end },
})
