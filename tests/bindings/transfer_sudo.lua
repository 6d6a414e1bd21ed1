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
