# libgit2: checkouts of this machine (git.open), without a program for each question.
# 1.5 for git_error_last's GIT_EOWNER: a checkout of another user is refused as git refuses it. Its interface changes
# with each minor version, so the one that was compiled for is the one that is loaded (bindings/git/git_library.c).
deployrun_dependency(git2 VERSION 1.5 PACKAGE libgit2-dev MODULES libgit2)
