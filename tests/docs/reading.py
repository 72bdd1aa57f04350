"""What README and docs show: blocks, the words of their commands as bash hands them over, names in backticks."""

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

COMMANDS = ("merv", "torchrun", "python", "pip", "make", ".ci/run", "source")
"""What a shell block may begin a line with."""
END_OF_WORD, END_OF_COMMAND = "\x1f", "\x1e"


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


class Command(NamedTuple):
    """One command of a shell block."""

    where: str
    words: list[str]


@cache
def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    language, start, lines = "", 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif start:
            found.append(Block(page, start, language, "\n".join(lines) + "\n"))
            start = 0
        else:
            language, start, lines = line.strip().removeprefix("```"), number, []
    assert start == 0, f"{page}: the block of line {start} is not closed"
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def names(page: Path) -> list[str]:
    """What stands in backticks in the prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))


@cache
def commands(block: Block) -> list[Command]:
    """The commands of a shell block, split and expanded by bash; nothing is run.

    Every known command is a function that writes its words down; PATH is empty, so nothing else can start.
    """
    record = f"printf '%s{END_OF_WORD}' \"$@\"; printf '{END_OF_COMMAND}'"
    functions = "\n".join(f'function {name} {{ set -- {name} "$@"; {record}; }}' for name in COMMANDS)
    refuse = 'command_not_found_handle() { printf "%s\\n" "$1: not a command of the docs" >&2; exit 1; }'
    script = f"PATH=\n{functions}\n{refuse}\nset -e\n{block.text}"
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, cwd="/", timeout=30)
    assert done.returncode == 0, f"{block}: {done.stderr}"
    said = done.stdout.split(END_OF_COMMAND)[:-1]
    return [Command(str(block), text.split(END_OF_WORD)[:-1]) for text in said]


def shell_blocks(page: Path) -> list[Block]:
    """The shell blocks of a page."""
    return [block for block in blocks(page) if block.language == "sh"]


def all_commands() -> list[Command]:
    """The commands of all pages."""
    return [command for page in PAGES for block in shell_blocks(page) for command in commands(block)]
