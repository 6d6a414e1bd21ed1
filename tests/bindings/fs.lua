-- fs.lua - files of this machine, and writing to a target.
local spec = require "spec"

return spec.recipe("fs", {
  { "a file is written, and only when it differs", function(t, here)
    local inside = here:cd(t.folder)
    t.equal(inside:write("a.txt", "one\n").changed, true)
    t.equal(inside:write("a.txt", "one\n").changed, false)
    t.equal(inside:write("a.txt", "one\n", { mode = "0600" }).changed, true)
    t.equal(inside:write("a.txt", "two\n").changed, true)
    t.equal(fs.read(t.folder .. "/a.txt"), "two\n")
    t.equal(inside:read { "stat", "-c", "%a", "a.txt" }, "600")
    t.equal(inside:read("ls -A"), "a.txt")
  end },
  { "a large text arrives whole, and is not read when it is there", function(t, here)
    local large = ("0123456789abcdef\0\n"):rep(60000)
    t.equal(here:write(t.folder .. "/large", large).changed, true)
    t.equal(fs.read(t.folder .. "/large") == large or not t.real, true)
    t.equal(here:write(t.folder .. "/large", large).changed, false)
    here:run { "rm", t.folder .. "/large" }
  end },
  { "an owner is given, also where the text is right", function(t, here)
    local inside, me = here:cd(t.folder), here:read("id -u")
    t.equal(inside:write("a.txt", "two\n", { owner = me }).changed, false)
    t.equal(inside:write("a.txt", "three\n", { owner = me }).changed, true)
    t.equal(inside:read { "stat", "-c", "%u %a", "a.txt" }, me .. " 600")
    t.fails("transfer.denied", inside.write, inside, "a.txt", "x", { owner = "no-such-user" })
    t.fails("transfer.denied", inside.write, inside, "none.txt", "x", { owner = "no-such-user" })
    t.equal(inside:read("cat a.txt; ls -A"), "three\na.txt")
  end },
  { "a link is followed and stays one", function(t, here)
    local inside = here:cd(t.folder)
    inside:run { "ln", "-s", "a.txt", "link" }
    inside:write("link", "three\n")
    t.equal(fs.read(t.folder .. "/a.txt"), "three\n")
    t.equal(inside:read { "readlink", "link" }, "a.txt")
  end },
  { "what cannot be written is an error, and leaves nothing", function(t, here)
    local missing = t.fails("fs.failed", here.write, here, t.folder .. "/none/a.txt", "x")
    t.matches(missing and missing.hint, "its folder must exist")
    t.fails("transfer.is_folder", here.write, here, t.folder, "x")
    t.fails("transfer.not_a_file", here.write, here, "/dev/null", "x")
    t.fails("recipe.argument", here.write, here, t.folder .. "/b", "x", { mode = "rw" })
    t.fails("recipe.argument", here.write, here, t.folder .. "/b", "x", { mode = 644 })
    t.equal(here:read { "ls", "-A", t.folder }, "a.txt\nlink")
  end },
  { "what a file is", function(t, here)
    local info = here:stat(t.folder .. "/a.txt")
    t.equal(info and info.type, "file")
    t.equal(info and info.size, 6)
    t.equal(info and info.mode, "600")
    t.equal(here:stat("/").type, "folder")
    here:run { "mkdir", t.folder .. "/.bin" }
    here:write(t.folder .. "/.bin/stat", "#!/bin/sh\necho Welcome\n", { mode = "0755" })
    local odd = here:env { PATH = t.folder .. "/.bin:/usr/bin:/bin" }
    if t.real then t.fails("fs.failed", odd.stat, odd, t.folder .. "/a.txt") end
    if t.real then t.equal(here:stat(t.folder .. "/none"), nil) end
  end },
  { "files of this machine", function(t, here)
    t.equal(fs.exists(t.folder .. "/a.txt"), true)
    if t.real then t.equal(fs.exists(t.folder .. "/none"), false) end
    t.equal(fs.hash(t.folder .. "/a.txt"), (here:read { "sha256sum", t.folder .. "/a.txt" }:match("%x+")))
    t.equal(#fs.glob(t.folder .. "/*"), 2)
    t.equal(#fs.glob(t.folder .. "/none*"), 0)
    t.fails("fs.not_found", fs.read, t.folder .. "/none")
    t.equal(#fs.read("/bin/sh"), here:stat("/bin/sh").size)
    t.fails("fs.failed", fs.read, "/etc")
  end },
})
