-- transfer.lua - files between this machine and a target.
local spec = require "spec"

-- Every byte there is, and line ends of all kinds.
local bytes = {}
for i = 0, 255 do bytes[i + 1] = string.char(i) end
local binary = table.concat(bytes):rep(40) .. "\r\n\n"

-- Whatever the target is, it is this machine in the end.
local function mine(t) return host("local"):cd(t.folder) end

return spec.recipe("transfer", {
  { "a file arrives, and an unchanged one is not sent", function(t, here)
    local inside = here:cd(t.folder)
    mine(t):write("a", binary, { mode = "0640" })
    local first = here:upload(t.folder .. "/a", t.folder .. "/b")
    t.equal(first.changed, true)
    t.equal(first.sent, #binary)
    t.equal(first.sha256, fs.hash(t.folder .. "/a"))
    t.equal(fs.read(t.folder .. "/b"), binary)
    t.equal(inside:read { "stat", "-c", "%a", "b" }, "640")
    local second = inside:upload(t.folder .. "/a", "b")
    t.equal(second.changed, false)
    t.equal(second.sent, 0)
  end },
  { "mode and owner are set, also where the bytes are right", function(t, here)
    local inside = here:cd(t.folder)
    local me = here:read("id -un")
    local again = inside:upload(t.folder .. "/a", "b", { mode = "0600", owner = me })
    t.equal(again.changed, true)
    t.equal(again.sent, 0)
    t.equal(inside:read { "stat", "-c", "%a %U", "b" }, "600 " .. me)
    mine(t):write("a", "new")
    inside:upload(t.folder .. "/a", "b")
    t.equal(inside:read { "stat", "-c", "%a", "b" }, "600")
    t.equal(inside:upload(t.folder .. "/a", "b", { mode = "600", owner = me }).changed, false)
  end },
  { "an empty file and odd names", function(t, here)
    local inside = here:cd(t.folder)
    mine(t):run { "touch", "empty" }
    t.equal(inside:upload(t.folder .. "/empty", "empty2").changed, true)
    t.equal(inside:stat("empty2").size, 0)
    for _, name in ipairs { "with space", "it's \"quoted\" $HOME `x`", "-rf", "line\nend\n", "ünï", "*", "~x",
      ".hidden", "\xFF\xFE" } do
      inside:upload(t.folder .. "/a", "./" .. name)
      t.equal(inside:read { "cat", "./" .. name }, "new")
      here:download(t.folder .. "/" .. name, t.folder .. "/back " .. name)
      t.equal(fs.read(t.folder .. "/back " .. name), "new")
    end
    inside:upload(t.folder .. "/a", "-n")
    t.equal(inside:read { "cat", "./-n" }, "new")
    inside:upload(t.folder .. "/a", ("x"):rep(255))
    t.equal(inside:stat(("x"):rep(255)).size, 3)
    inside:run("mkdir sub")
    inside:upload(t.folder .. "/a", "sub/")
    t.equal(inside:read("cat sub/a"), "new")
    t.equal(inside:read("ls -A | grep -c deployrun || true"), "0")
  end },
  { "what cannot be uploaded is an error, and leaves nothing", function(t, here)
    local inside = here:cd(t.folder)
    t.fails("transfer.is_folder", inside.upload, inside, t.folder .. "/a", "sub")
    t.fails("transfer.no_parent", inside.upload, inside, t.folder .. "/a", "none/x/a")
    t.equal(inside:upload(t.folder .. "/a", "none/x/a", { parents = true }).changed, true)
    local missing = t.fails("fs.not_found", inside.upload, inside, t.folder .. "/missing", "z")
    t.matches(missing and missing.hint, "of this machine")
    t.fails("transfer.denied", inside.upload, inside, t.folder .. "/a", "z", { owner = "no-such-user" })
    t.fails("transfer.not_a_file", here.upload, here, t.folder .. "/a", "/dev/null")
    t.fails("recipe.argument", inside.upload, inside, t.folder .. "/a", "z", { mode = 600 })
    t.fails("recipe.argument", inside.upload, inside, t.folder .. "/a", "z", { mode = "rw" })
    t.fails("recipe.option", inside.upload, inside, t.folder .. "/a", "z", { moed = "600" })
    t.equal(inside:stat("z") == nil, t.real)
    t.equal(inside:read("ls -A | grep -c deployrun || true"), "0")
  end },
  { "a link is followed and stays one", function(t, here)
    local inside = here:cd(t.folder)
    inside:run("ln -s b link")
    mine(t):write("a", "through the link")
    inside:upload(t.folder .. "/a", "link")
    t.equal(inside:read("readlink link; cat b"), "b\nthrough the link")
  end },
  { "a partial file is gone on with", function(t, here)
    local inside = here:cd(t.folder)
    mine(t):write("a", binary)
    inside:run("h=$(sha256sum <a | cut -c1-12); head -c 5000 a >.c.deployrun-$h.part; " ..
      ": >.c.deployrun-aaaaaaaaaaaa.part")
    local result = inside:upload(t.folder .. "/a", "c")
    t.equal(result.resumed_from, 5000)
    t.equal(result.sent, #binary - 5000)
    t.equal(fs.read(t.folder .. "/c"), binary)
    inside:run("rm c; h=$(sha256sum <a | cut -c1-12); head -c 5000 /dev/zero >.c.deployrun-$h.part")
    local anew = inside:upload(t.folder .. "/a", "c")
    t.equal(anew.resumed_from, 0)
    t.equal(anew.attempts, 2)
    t.equal(fs.read(t.folder .. "/c"), binary)
    inside:run("h=$(sha256sum <a | cut -c1-12); head -c 7000 a >.d.deployrun-$h.part")
    local down = inside:download("a", t.folder .. "/d")
    t.equal(down.changed, true)
    t.equal(fs.read(t.folder .. "/d"), binary)
    t.equal(inside:read("ls -A | grep -c deployrun || true"), "0")
  end },
  { "a file is as new as its upload", function(t, here)
    local inside = here:cd(t.folder)
    mine(t):run("touch -d 2001-02-03 a; : >before")
    inside:upload(t.folder .. "/a", "new")
    t.equal(inside:read("find new -newer before | wc -l | tr -d ' '"), "1")
  end },
  { "a download arrives, and is not repeated", function(t, here)
    local inside = here:cd(t.folder)
    inside:run("chmod 750 a")
    t.equal(inside:download("a", t.folder .. "/e").received, #binary)
    t.equal(inside:read("stat -c %a e"), "750")
    t.equal(inside:download("a", t.folder .. "/e").changed, false)
    t.equal(inside:download("a", t.folder .. "/e", { mode = "0600" }).changed, true)
    t.equal(inside:read("stat -c %a e"), "600")
    t.fails("transfer.not_found", inside.download, inside, "no-such-file", t.folder .. "/f")
    local nowhere = t.fails("fs.failed", inside.download, inside, "a", t.folder .. "/nowhere/f")
    t.matches(nowhere and nowhere.hint, "parents = true")
    t.equal(inside:download("a", t.folder .. "/nowhere/f", { parents = true }).changed, true)
    local folder = t.fails("fs.failed", inside.download, inside, "a", t.folder .. "/sub")
    t.matches(folder and folder.hint, "folder is in the way")
  end },
})
