"""Env files and what their real readers make of them, for env_files.sh; run by the Python that runs docker-compose.

  env_files.py texts              the texts, as JSON; text number 2 is the third
  env_files.py files FOLDER       each text as FOLDER/NUMBER, for systemd
  env_files.py compose OURS       compares OURS, [{name: value} or null where it was refused], with docker-compose 1
  env_files.py systemd OURS OUT   compares with what a unit of systemd printed, `env -0` into OUT/NUMBER.out each
"""
import json
import logging
import os
import sys

VALUES = [
    "b", "", "  ", "b c  ", "b c # d", "b#c", "# c", "b\t# c", "pa$word", "$$b $", "$B-${B}-${C:-d}-${B:-e}", "${b",
    "${B:+x}", "${B-e}", "${B:-${C:-d}}", "'${B}'", "'b # $c \\n'", "'Let\\'s go!'", "'b\\'", "'b\\\\'", "'b\nc'", "'b' #c",
    "'b'#c", "'b' c", "'unclosed", '"b\\nc \\" \\\\ \\$d" # e', '"\\t\\a\\\' \\x41"', '"b\nc"', '"b\\\nc"', '"$B ${B}"',
    '"\\${B}"', '"a" "b"', '"unclosed', "it's", 'a"b"c', "a\\ b", "b\\", "b\\\nc", "`x`", "a=b=c", "%s;!x*", "{a: b}",
    "\u00e9", "b\u00a0", "b\r",
]
LINES = [
    "A", "export A=b", "export A", " A = b", "A: b", "A.B=c\nA-B=d", "1A=c", "'A'=b", "A b=c", "=c", "A # c", "A=1\nA",
    "; A=1\n# A=2", "# c \\\n\nA=3", "# c \\\nA=3", "A=1\r\nC=2\r\n",
]
TEXTS = ["B=x\nA=%s\n" % value for value in VALUES] + ["B=x\n%s\n" % line for line in LINES]

# What systemd takes, and deployrun refuses by the number of its line: a quote that is not closed, which takes in the rest
# of the file; lines that set no variable; a comment that older and newer versions end in different places.
REFUSED = ["A='unclosed", 'A="unclosed', "\nA\n", "export ", "A: b", "A.B=", "1A=", "'A'=", "A b=", "\n=c", "\nA # c", "A=1\nA\n",
           "# c \\\nA=3"]


class Warned(logging.Handler):
    """Counts what python-dotenv could not read."""
    count = 0

    def emit(self, record):
        self.count += 1


def compose(text):
    from compose.config.environment import env_vars_from_file
    warned = Warned()
    log = logging.getLogger("dotenv.main")
    log.handlers, log.propagate = [warned], False
    with open("compose.env", "w", newline="", encoding="utf-8") as file:
        file.write(text)
    values = env_vars_from_file("compose.env")
    return None if warned.count else {name: value for name, value in values.items() if value is not None}


def systemd(path):
    with open(path, encoding="utf-8") as file:
        pairs = [pair.split("=", 1) for pair in file.read().split("\0") if pair]
    return {name: value for name, value in pairs if name[-1] in "ABC" and len(name) < 4}


def compare(ours_path, real):
    with open(ours_path, encoding="utf-8") as file:
        ours = json.load(file)
    wrong = 0
    for i, text in enumerate(TEXTS):
        expected = real(i, text)
        if ours[i] == expected:
            continue
        wrong += 1
        print("%r: its reader says %s, deployrun %s" % (text, expected, ours[i]))
    if len(ours) != len(TEXTS) or wrong:
        sys.exit("%d of %d texts are read otherwise" % (wrong, len(TEXTS)))


def main(what, *rest):
    if what == "texts":
        json.dump(TEXTS, sys.stdout)
    elif what == "files":
        for i, text in enumerate(TEXTS):
            with open(os.path.join(rest[0], str(i)), "w", newline="", encoding="utf-8") as file:
                file.write(text)
    elif what == "compose":
        for name in set("ABCb") & set(os.environ):
            del os.environ[name]
        compare(rest[0], lambda i, text: compose(text))
    else:
        def unit(i, text):
            refused = any(mark in text for mark in REFUSED)
            return None if refused else systemd(os.path.join(rest[1], "%d.out" % i))
        compare(rest[0], unit)


main(*sys.argv[1:])
