---@meta
-- Git: checkouts on targets, by the target's own git, as the target's user; and on this machine by libgit2.
--
-- Every method may fail with git.not_a_checkout, git.unsafe_owner (it belongs to another user), git.locked (the message
-- names the lock, its age, and the git process that has it), git.no_space, git.denied, git.corrupt, git.output,
-- command.not_found (no git there), and with the errors of commands and of reaching the target. Nothing ever asks a
-- person, neither at a terminal nor in an editor: what would ask for a password fails with git.auth or git.host_key. Nor is
-- anything signed. What a person has set for themselves (~/.gitconfig) does not change what comes of a method, except who is
-- the author, how remotes are reached, and what makes up the files: core.autocrlf, filters, ignored files. The hooks of the
-- repository run. Any other failure of git is git.failed, in its words.

---@class deployrun.Target
local Target = {}

---A checkout on the target. Asks nothing yet.
---@param folder? string default: the target's own
---@return deployrun.Checkout
function Target:git(folder) end

git = {}

---A checkout on this machine, with the same methods. What only reads (and :tag) is done by libgit2, without a program for
---each question; what changes files or goes over the network is done by the program git, as for host("local"):git(folder).
---Methods then also fail with git.library when libgit2 cannot be loaded.
---@param folder string
---@return deployrun.Checkout
function git.open(folder) end

---@class deployrun.Checkout
local Checkout = {}

---The commit that is checked out, 40 digits. A query. Fails: git.not_found when there is no commit yet.
---@return string
function Checkout:head() end

---The commit that a branch, a tag, "HEAD~1" … names. A query. Fails: git.not_found.
---@param revision string
---@return string
function Checkout:commit(revision) end

---The branch that is checked out; nil when none is. A query.
---@return string|nil
function Checkout:branch() end

---@class deployrun.GitChange
---@field state string two letters as git writes them: ".M", "A.", "??" (unknown to git), "UU" (conflict)
---@field path string
---@field from? string the name before, of a renamed file

---@class deployrun.GitStatus
---@field clean boolean nothing is changed and nothing is unknown to git
---@field changes deployrun.GitChange[]
---@field head? string the commit
---@field branch? string
---@field upstream? string "origin/main"
---@field ahead? integer commits the upstream does not have, as far as the last fetch knows
---@field behind? integer

---What is changed in the checkout. A query; it does not even refresh git's index.
---@return deployrun.GitStatus
function Checkout:status() end

---Whether the folder exists and is a checkout. A query.
---@return boolean
function Checkout:is_checkout() end

---@class deployrun.GitCommit
---@field commit string
---@field time integer seconds since 1970, when it was committed
---@field author string
---@field subject string the first line of its message

---The commits that `to` has and `from` has not, newest first. A query. Fails: git.not_found.
---@param from? string default: from the beginning
---@param to? string default: HEAD
---@param options? {limit?: integer, paths?: string[]} limit: at most so many, default 100; paths: only those that change them
---@return deployrun.GitCommit[]
function Checkout:log(from, to, options) end

---The files that differ between two commits. A query. Fails: git.not_found.
---@param from string
---@param to? string default: HEAD
---@param options? {paths?: string[]} only these files and folders
---@return string[]
function Checkout:changed(from, to, options) end

---The tags at a commit. A query. Fails: git.not_found.
---@param revision? string default: HEAD
---@return string[]
function Checkout:tags(revision) end

---Whether the remote's branch has the commit that is checked out. A query; the remote is asked. Fails: git.detached when no
---branch is checked out or named, git.no_remote, git.auth, git.host_key, git.unreachable.
---@param options? {remote?: string, branch?: string, timeout?: number|string} default: origin, the branch that is checked out
---@return boolean
function Checkout:is_pushed(options) end

---Fetches; the files stay as they are. Action: change. Fails: git.no_remote, git.auth, git.host_key, git.unreachable.
---@param options? {remote?: string, prune?: boolean, tags?: boolean, timeout?: number|string}
function Checkout:fetch(options) end

---@class deployrun.GitMoved
---@field moved boolean another commit than before
---@field from? string the commit before; absent in a repository without commits
---@field to string the commit now
---@field changed string[] the files that differ between the two; empty in a dry run

---@class deployrun.PullOptions
---@field ff_only? boolean default true: never merge
---@field remote? string default: the branch's own, or "origin" when a branch is named
---@field branch? string default: the branch's own
---@field timeout? number|string default ten minutes

---Fetches and brings the checkout to the remote's commit, as git pull does it. For a checkout that a server runs from,
---:update is safer.
---
---Action: change. Fails: git.diverged, git.unrelated, git.shallow, git.dirty, git.in_the_way, git.conflict, git.no_remote,
---git.not_found, git.detached, git.auth, git.host_key, git.unreachable; then the checkout is as before, except after
---git.conflict with ff_only = false.
---@param options? deployrun.PullOptions
---@return deployrun.GitMoved
function Checkout:pull(options) end

---@class deployrun.GitKept: deployrun.GitMoved
---@field commits deployrun.GitCommit[] what is new, newest first, at most 1000
---@field kept string[] files that are edited here and still are
---@field conflicts {path: string, how: string}[] files where both sides changed the same and the local edits won: in their "lines", or as a whole "file"
---@field resumed boolean an update that was interrupted was ended first; from is then where that began

---@class deployrun.UpdateOptions
---@field keep_local? boolean default false: a checkout with local edits is refused (git.dirty)
---@field ours? string[] files and folders whose local edits win where both changed the same lines, from the top of the checkout (also when :git() was given a folder in it): "backend/settings.py", "backend", "backend/*.py"; "*" is also "/"
---@field remote? string default: the branch's own, or origin
---@field branch? string default: the branch's own, or the one of the same name
---@field timeout? number|string default ten minutes

---Fetches and goes forward to the remote's commit; with keep_local, local edits stay edits.
---
---The merge is made aside and refused (git.conflict) while nothing has been changed. Then each file is moved into its place
---whole, so that a running server sees its old or its new text, never a half or a conflict marker. Until the result has been
---compared the edits are also in git stash list; afterwards at refs/deployrun/edits. Killed at any moment, it leaves the
---checkout as it was, or one that the next :update, :reset, :revert or :pop brings to its end first.
---
---A file that was edited keeps its permissions; whether it may be executed is merged like its text. Files are written by the
---.gitattributes of the new commit.
---
---Action: change. Fails: git.dirty, git.conflict, git.in_the_way, git.submodule, git.sparse, git.no_such_file (a name in
---`ours`), git.diverged, git.unrelated, git.shallow, git.detached, git.no_remote, git.not_found, git.auth, git.host_key,
---git.unreachable; then nothing was changed. Also git.interrupted (files were edited after an update was interrupted) and
---git.unverified; then the stash is still there, and the hint has the command that gives the update up. So does
---:reset(revision, { hard = true }).
---@param options? deployrun.UpdateOptions
---@return deployrun.GitKept
function Checkout:update(options) end

---Checks a branch, tag or commit out. A checkout with local edits is refused, unless keep = true (they come along, where the
---commit does not change the same files) or hard = true (they are lost).
---
---Action: change; with hard also destructive. Fails: git.dirty, git.in_the_way, git.not_found.
---@param revision string
---@param options? {keep?: boolean, hard?: boolean, timeout?: number|string}
---@return deployrun.GitMoved
function Checkout:checkout(revision, options) end

---Moves the branch to a commit, and the files with it, as :update moves them. A checkout with local edits is refused, unless
---keep = true (they stay edits, with `ours` as in :update) or hard = true (they are dropped; their commit stays at
---refs/deployrun/edits until the next time). This is the way back after a failed deploy.
---
---Action: change; with hard also destructive. Fails: git.not_found, git.dirty, git.conflict, git.in_the_way, git.submodule,
---git.sparse, git.no_such_file, git.interrupted, git.unverified.
---@param revision string
---@param options? {keep?: boolean, hard?: boolean, ours?: string[], timeout?: number|string}
---@return deployrun.GitKept
function Checkout:reset(revision, options) end

---Makes a commit that takes another one back. moved is false when there is nothing to take back any more. A revert that would
---conflict changes nothing.
---
---Action: change. Fails: git.not_found, git.dirty, git.conflict, git.merge_commit, git.no_identity.
---@param revision string
---@param options? {mainline?: integer, timeout?: number|string} mainline: of a merge, the parent to go back to
---@return deployrun.GitKept
function Checkout:revert(revision, options) end

---Makes a tag; with a message an annotated one. A tag that is there already is left, and must be at the same commit.
---
---Action: change. Fails: git.exists, git.not_found, git.no_identity.
---@param name string
---@param options? {revision?: string, message?: string}
---@return {created: boolean, commit: string}
function Checkout:tag(name, options) end

---Pushes the commit that is checked out to the remote's branch, and the tags that are named. Never by force.
---
---Action: change. Fails: git.diverged, git.rejected, git.detached, git.no_remote, git.auth, git.host_key, git.unreachable.
---@param options? {remote?: string, branch?: string, tags?: string[], timeout?: number|string} default: origin, the branch of the same name
---@return {pushed: boolean}
function Checkout:push(options) end

---Puts local edits away; stashed is false when there are none. Files that git does not know stay. Action: change.
---@param options? {message?: string}
---@return {stashed: boolean, commit?: string}
function Checkout:stash(options) end

---Brings the edits of a stash back into a clean checkout, and drops the stash. A pop that would conflict changes nothing.
---
---Action: change. Fails: git.not_found (no stash), git.dirty, git.conflict, git.in_the_way, git.untracked_stash, git.sparse,
---git.no_such_file.
---@param options? {stash?: string, ours?: string[], timeout?: number|string} stash: default the newest; ours: as in :update
---@return deployrun.GitKept
function Checkout:pop(options) end

---Clones into the checkout's folder, which appears when it is whole. A clone of that URL that is there already is left as it
---is (cloned = false).
---
---Action: change. Fails: git.exists, git.no_remote, git.not_found, git.auth, git.host_key, git.unreachable.
---@param url string
---@param options? {branch?: string, depth?: integer, timeout?: number|string} timeout: default one hour
---@return {cloned: boolean, commit?: string}
function Checkout:clone(url, options) end
