#!/usr/bin/env python3
"""Runs a command on a terminal of its own, presses Ctrl-C, and prints the screen as a person sees it then.

    screen.py SHOWN -- COMMAND [WORD…]

Ctrl-C is pressed when words that fit SHOWN (a regular expression) have appeared. The exit status is the command's. The
terminal has SCREEN_COLUMNS columns (100), wraps nothing itself and never scrolls. Used by the system tests."""
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios

shown, command = sys.argv[1], sys.argv[sys.argv.index("--") + 1:]
signal.alarm(120)  # the bound of it all
child, terminal = pty.fork()
if child == 0:
    columns = int(os.environ.get("SCREEN_COLUMNS", "100"))
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 200, columns, 0, 0))
    os.environ["TERM"] = os.environ.get("SCREEN_TERM", "xterm")
    os.execvp(command[0], command)

seen, pressed = "", False
while True:
    try:
        got = os.read(terminal, 4096)
    except OSError:  # the other side is closed
        break
    if not got:
        break
    seen += got.decode(errors="replace")
    if not pressed and re.search(shown, seen):
        pressed = True
        os.write(terminal, b"\x03")
_, status = os.waitpid(child, 0)

lines, row, column = [""], 0, 0
for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", seen):
    if part == "\r":
        column = 0
    elif part == "\n":
        row += 1
        lines += [""] * (row + 1 - len(lines))
    elif part == "\x1b[A":
        row = max(0, row - 1)
    elif part == "\x1b[2K":
        lines[row] = ""
    elif not part.startswith("\x1b"):
        lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + len(part):]
        column += len(part)
print("\n".join(line.rstrip() for line in lines))
sys.exit(os.waitstatus_to_exitcode(status) & 255)
