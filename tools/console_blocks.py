"""Run the `console` blocks of a Markdown page as somebody would type them.

A line that begins with `$ ` is a command; a backslash at its end continues it. The lines below it, up to the next
command, are its output, with `...` for anything (as in doctest); without such lines, the output is not compared. A
command ends with exit code 0, or with the N of a comment `# exit code N` after it.
"""

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sybil import Example

#: Seconds that one command may take.
LIMIT = 600
_CODE = re.compile(r"\s+# exit code (\d+)$")


@dataclass(frozen=True)
class Command:
    """A command, the output that the page shows, and the exit code that it announces."""

    line: str
    output: str
    code: int


def commands(block: str) -> Iterator[Command]:
    r"""The commands of a block.

    >>> [command.line for command in commands("$ echo a \\\n    b\na b\n$ false  # exit code 1")]
    ['echo a b', 'false']
    """
    joined = re.sub(r"\\\n\s*", "", block)
    for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        code = _CODE.search(line)
        yield Command(_CODE.sub("", line), output.strip("\n"), int(code[1]) if code else 0)


def run_block(example: Example) -> str | None:
    """Run the commands of a block in the current folder; returns what was not as the page says."""
    for command in commands(example.parsed):
        if problem := run(command):
            return problem
    return None


def run(command: Command) -> str | None:
    """Run a command; returns what was not as announced, with all that the command said."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.line],
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    said = f"$ {command.line}\n{done.stdout}{done.stderr}"
    if done.returncode != command.code:
        return f"exit code {done.returncode}, expected {command.code}:\n{said}"
    # Errors go to stderr, so a page that announces one shows that.
    shown = done.stderr if command.code else done.stdout
    if not command.output or as_announced(command.output, shown):
        return None
    return f"expected the output\n{command.output}\nbut:\n{said}"


def as_announced(expected: str, shown: str) -> bool:
    r"""Whether an output is what a page shows; `...` is anything, and the amount of white space does not count.

    >>> as_announced("Wrote ... files", "Wrote  7 files\n"), as_announced("Wrote 8", "Wrote 7")
    (True, False)
    """
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(expected.strip("\n") + "\n", shown.strip("\n") + "\n", flags)
