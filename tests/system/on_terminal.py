#!/usr/bin/env python3
"""Runs a command on a terminal of its own and answers its questions as a person would.

    on_terminal.py QUESTION [ANSWER…] -- COMMAND [WORD…]

Each time words that fit QUESTION (a regular expression) appear and the line stands still at a ':' or ')', the next ANSWER is typed; when there is none
left, Ctrl-C. What the terminal showed goes to stdout; the exit status is the command's. Used by the system tests."""
import os
import pty
import re
import signal
import sys

split = sys.argv.index("--")
question, answers, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
signal.alarm(120)  # the bound of it all
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)

shown, asked = "", 0
while True:
    try:
        got = os.read(terminal, 4096)
    except OSError:  # the other side is closed
        break
    if not got:
        break
    shown += got.decode(errors="replace")
    times = len(re.findall(question, shown))
    if times > asked and shown.endswith((": ", ") ")) and re.search(question, shown.rpartition("\n")[2]):
        asked = times
        typed = answers.pop(0) + "\n" if answers else "\x03"
        os.write(terminal, typed.encode())
_, status = os.waitpid(child, 0)
print(shown)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
