-- sync.lua - folders to a target.
local spec = require "spec"

-- Makes files. Whatever the target is, it is this machine in the end.
local function tree(t, lines) host("local"):cd(t.folder):run("set -e\n" .. lines) end

return spec.recipe("sync", {
  { "a folder arrives whole, and an unchanged one is not sent", function(t, here)
    local inside = here:cd(t.folder)
    tree(t, [[
      mkdir -p from/sub/deep from/empty; echo one >from/a; printf 'b\000\377' >from/sub/b; chmod 755 from/sub/b
      : >from/sub/deep/none; ln -s ../a from/sub/link; ln -s /etc/nowhere from/dangling
      echo x >'from/with space'; echo x >"from/it's"; echo x >'from/-rf'; echo x >'from/new
line'; echo x >'from/back\slash'; echo x >"$(printf 'from/\377')"; mkdir 'from/~'; echo x >'from/~/~'
      long=$(printf %0120d 0); mkdir "from/$long"; echo x >"from/$long/$long"; ln -s "$long/$long" from/longlink]])
    local first = here:sync(t.folder .. "/from", t.folder .. "/to")
    t.equal(first.changed, true)
    t.equal(inside:read("diff -r --no-dereference from to && echo same"), "same")
    t.equal(inside:read("cd to; stat -c %a sub/b a; readlink sub/link dangling"), "755\n644\n../a\n/etc/nowhere")
    local again = here:sync(t.folder .. "/from/", t.folder .. "/to/", { delete = true })
    t.equal(again.changed, false)
    t.equal(inside:read("ls -A to | grep -c deployrun || true"), "0")
  end },
  { "only what differs is sent", function(t, here)
    local inside = here:cd(t.folder)
    tree(t, "echo two >from/a; stat -c %i to/sub/b >inode")
    local result = inside:sync(t.folder .. "/from", "to")
    t.equal(result.sent, 1)
    t.equal(result.bytes, 4)
    t.equal(inside:read("cat to/a; stat -c %i to/sub/b | cmp - inode && echo untouched"), "two\nuntouched")
    tree(t, "chmod 600 to/a")
    local adjusted = inside:sync(t.folder .. "/from", "to")
    t.equal(adjusted.adjusted, 1)
    t.equal(adjusted.sent, 0)
    t.equal(inside:read("stat -c %a to/a"), "644")
  end },
  { "what is replaced is as new as its installation, whatever the file here says", function(t, here)
    local inside = here:cd(t.folder)
    tree(t, "touch -d 2001-02-03 from/a from/sub/b; echo one >from/a; touch -d 2001-02-03 from/a; : >before")
    local before = inside:read("stat -c %y to/sub/b; : >before")
    inside:sync(t.folder .. "/from", "to")
    t.equal(inside:read("stat -c %y to/sub/b"), before)
    t.equal(inside:read("find to/a -newer before | wc -l | tr -d ' '"), "1")
  end },
  { "Python does not run stale bytecode after a sync", function(t, here)
    local inside = here:cd(t.folder)
    if inside:run({ "python3", "-c", "" }, { any_status = true }).status ~= 0 then return log("no python3 here") end
    local version = "cd py2 && PYTHONDONTWRITEBYTECODE= python3 -c 'import shop; print(shop.VERSION)'"
    tree(t, "mkdir py; echo 'VERSION = 1' >py/shop.py; touch -d 2001-02-03 py/shop.py")
    inside:sync(t.folder .. "/py", "py2", { exclude = { "__pycache__" } })
    t.equal(inside:read(version), "1")
    t.equal(inside:read("ls py2/__pycache__ | grep -c shop"), "1")
    -- Bytecode knows the file by its size and by its time in whole seconds.
    inside:run("now=$(date +%s); until [ \"$(date +%s)\" -gt \"$now\" ]; do sleep 0.05; done")
    tree(t, "echo 'VERSION = 2' >py/shop.py; touch -d 2001-02-03 py/shop.py")
    inside:sync(t.folder .. "/py", "py2", { exclude = { "__pycache__" } })
    t.equal(inside:read(version), "2")
  end },
  { "modes and an owner can be given", function(t, here)
    local inside = here:cd(t.folder)
    local me = here:read("id -un")
    inside:sync(t.folder .. "/from", "moded", { mode = "0640", dir_mode = "0750", owner = me })
    t.equal(inside:read("stat -c '%a %U' moded/sub/b moded/sub"), "640 " .. me .. "\n750 " .. me)
    t.equal(inside:sync(t.folder .. "/from", "moded", { mode = "0640", dir_mode = "0750", owner = me }).changed, false)
  end },
  { "what is not in the folder stays, unless it is to be deleted", function(t, here)
    local inside = here:cd(t.folder)
    tree(t, [[
      mkdir -p to/old/er outside to/keep/in; echo safe >outside/file; echo x >to/old/er/gone; echo x >to/gone
      ln -s ../outside to/out; echo x >to/keep/in/data.db; echo x >to/keep/gone; echo x >to/cache.pyc]])
    inside:sync(t.folder .. "/from", "to")
    t.equal(inside:read("cat to/gone"), "x")
    local result = inside:sync(t.folder .. "/from", "to", { delete = true, exclude = { "*.pyc", "/keep/in" } })
    t.equal(result.removed, 7)
    t.equal(inside:read("ls to/old to/out to/gone to/keep/gone 2>/dev/null || true"), "")
    t.equal(inside:read("cat outside/file to/keep/in/data.db to/cache.pyc"), "safe\nx\nx")
  end },
  { "left out is left out on both sides", function(t, here)
    local inside = here:cd(t.folder)
    tree(t, "mkdir from/cache; echo x >from/cache/file; echo x >from/x.pyc")
    inside:sync(t.folder .. "/from", "to2", { exclude = { "cache/", "*.pyc", "sub/deep" } })
    t.equal(inside:read("ls -d to2/cache to2/x.pyc to2/sub/deep 2>/dev/null || true"), "")
    t.equal(inside:read("cat to2/sub/b | wc -c | tr -d ' '"), "3")
  end },
  { "nothing is written through a link that is in the way", function(t, here)
    local inside = here:cd(t.folder)
    tree(t, "mkdir trap; ln -s ../outside trap/sub; mkdir trap/a; echo mine >trap/a/mine")
    t.fails("transfer.conflict", inside.sync, inside, t.folder .. "/from", "trap")
    t.equal(inside:read("ls outside; readlink trap/sub; cat trap/a/mine"), "file\n../outside\nmine")
    inside:sync(t.folder .. "/from", "trap", { delete = true })
    t.equal(inside:read("ls outside; diff -r --no-dereference from trap && echo same"), "file\nsame")
    tree(t, "rm -rf from/sub; ln -s ../outside from/sub")
    inside:sync(t.folder .. "/from", "trap", { delete = true })
    t.equal(inside:read("readlink trap/sub; ls outside"), "../outside\nfile")
  end },
  { "what cannot be sent is an error, and changes nothing", function(t, here)
    local inside = here:cd(t.folder)
    local missing = t.fails("fs.not_found", inside.sync, inside, t.folder .. "/missing", "z")
    t.matches(missing and missing.hint, "of this machine")
    t.fails("transfer.no_parent", inside.sync, inside, t.folder .. "/from", "none/z")
    t.fails("transfer.not_a_folder", inside.sync, inside, t.folder .. "/from", "inode")
    t.fails("recipe.argument", inside.sync, inside, t.folder .. "/from", "/")
    t.fails("recipe.option", inside.sync, inside, t.folder .. "/from", "z", { delte = true })
    t.fails("transfer.denied", inside.sync, inside, t.folder .. "/from", "z2", { owner = "no-such-user" })
    t.fails("transfer.denied", inside.sync, inside, t.folder .. "/from", "trap", { owner = "no-such-user" })
    t.equal(inside:read("ls -d z2 trap/.deployrun* 2>/dev/null || true"), "")
    tree(t, "mkfifo from/pipe")
    t.fails("transfer.not_a_file", inside.sync, inside, t.folder .. "/from", "z")
    tree(t, "rm from/pipe; mkdir emptied; echo x >emptied/x; mkdir nothing")
    t.equal(inside:sync(t.folder .. "/nothing", "emptied", { delete = true }).removed, 1)
    t.equal(inside:upload(t.folder .. "/from", "deep/er", { parents = true }).changed, true)
  end },
  { "a folder is downloaded, and an unchanged one is not", function(t, here)
    local inside = here:cd(t.folder)
    local first = inside:download("from", t.folder .. "/down")
    t.equal(first.changed, true)
    t.equal(inside:read("diff -r --no-dereference from down && stat -c %a 'down/~' down/a"), "755\n644")
    t.equal(inside:download("from/", t.folder .. "/down").changed, false)
    tree(t, "echo three >from/a; echo mine >down/mine; chmod 600 from/x.pyc")
    local again = inside:download("from", t.folder .. "/down")
    t.equal(again.received, 1)
    t.equal(again.bytes, 6)
    t.equal(again.adjusted, 1)
    t.equal(inside:read("cat down/a down/mine; ls -A down | grep -c deployrun || true"), "three\nmine\n0")
    t.equal(inside:download("from", t.folder .. "/down2", { exclude = { "cache", "*.pyc" } }).changed, true)
    t.equal(inside:read("ls -d down2/cache down2/x.pyc 2>/dev/null || true"), "")
    tree(t, "mkdir down3 real; mkdir from/inner; echo x >from/inner/x; ln -s ../real down3/inner")
    local conflict = t.fails("transfer.conflict", inside.download, inside, "from", t.folder .. "/down3")
    t.matches(conflict and conflict.hint, "exclude")
    t.equal(inside:read("ls real; ls -A down3"), "inner")
    local nowhere = t.fails("fs.failed", inside.download, inside, "from", t.folder .. "/none/down")
    t.matches(nowhere and nowhere.hint, "parents = true")
    t.equal(inside:download("nothing", t.folder .. "/none/down", { parents = true }).received, 0)
  end },
})
