"""Rows of a JSON list or of a file with one a line: read one at a time, and found again by number.

A list of a million conversations takes many times its size in memory once it is parsed.  Here a pass over the file
keeps where each row begins and ends, 12 bytes a row; a row that is needed later is read and parsed again.
"""

import json
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from merv.errors import ConfigError

CHUNK = 1 << 20
"""Bytes of a list that are looked at together; a longer row takes more."""
BOM = b"\xef\xbb\xbf"
SPACE = " \t\r\n"


class NotAListError(Exception):
    """The file is no JSON list of rows, or no JSON."""


class NotTextError(Exception):
    """The file is not UTF-8; says why, and at which byte."""


class RowFile:
    """The rows of a file.

    Iterating reads the file from its beginning and notes where rows stand; `row` then gives any of them again.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet; a file that ends in `.jsonl` has one row a line, any other is a JSON list."""
        self.path = path
        self._starts, self._sizes = array("q"), array("I")
        self._handle: int | None = None
        self._stamp: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Rows noted so far; all of them once the file has been iterated."""
        return len(self._starts)

    def __iter__(self) -> Iterator[Any]:
        """The rows; a line that is not JSON is handed on as the error itself.

        Raises:
            FileNotFoundError: there is no file.
            NotTextError: it is not UTF-8.
            NotAListError: it is no list.
        """
        self._forget()
        with self.path.open("rb") as file:
            self._stamp = _stamp(file.fileno())
            found = _lines(file) if self.path.suffix == ".jsonl" else _elements(file)
            for start, text in found:
                self._starts.append(start)
                self._sizes.append(len(text))
                yield parsed(text, start)

    def row(self, number: int) -> Any:
        """The row of that number, parsed again.

        Raises:
            ConfigError: the file is another than when it was iterated.
        """
        if self._handle is None:
            self._handle = os.open(self.path, os.O_RDONLY)
        if _stamp(self._handle) != self._stamp:
            raise ConfigError(f"{self.path} was changed while its rows were in use; start again")
        return parsed(os.pread(self._handle, self._sizes[number], self._starts[number]), self._starts[number])

    def _forget(self) -> None:
        del self._starts[:], self._sizes[:]
        self.close()

    def close(self) -> None:
        """Let go of the file; `row` opens it again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        """Let go of the file."""
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process, which opens the file for itself."""
        return {**self.__dict__, "_handle": None}


def parsed(text: bytes, start: int = 0) -> Any:
    """The value of a row, or why it is none.

    Raises:
        NotTextError: it is not UTF-8; `start` is its place in the file.
    """
    try:
        return json.loads(text.decode())
    except UnicodeDecodeError as error:
        raise NotTextError(f"{error.reason} at byte {start + error.start}") from error
    except json.JSONDecodeError as error:
        return error
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, a list in a list in a list ...
        return json.JSONDecodeError(str(error), "", 0)


def _stamp(handle: int) -> tuple[int, int]:
    status = os.fstat(handle)
    return status.st_size, status.st_mtime_ns


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each line that is not blank begins, and its text."""
    start = 0
    for line in file:
        text = line.removeprefix(BOM) if start == 0 else line
        if text.strip():
            yield start + len(line) - len(text), text
        start += len(line)


def _elements(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each element of a JSON list begins, and its text.

    Bytes are taken for characters one by one: JSON's marks are ASCII, and what stands between quotes is not looked at.
    """
    window = _Window(file)
    window.expect("[")
    if window.next_mark() == "]":
        window.finish()
        return
    while True:
        yield window.element()
        mark = window.next_mark()
        window.skip(1)
        if mark == "]":
            break
        if mark != ",":
            raise NotAListError
        window.next_mark()
    window.finish(closed=True)


class _Window:
    """A part of a file as text with a character a byte, and a place in it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.text = ""
        self.start = 0
        """Place in the file of the first character of `text`."""
        self.at = 0
        self.ended = False
        self._decoder = json.JSONDecoder()

    def expect(self, mark: str) -> None:
        """Pass a mark, which a byte order mark may precede."""
        self._more()
        if self.text.startswith(BOM.decode("latin-1")):
            self.at = len(BOM)
        if self.next_mark() != mark:
            raise NotAListError
        self.at += 1

    def next_mark(self) -> str:
        """The next character that is no space; the place moves before it."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in SPACE:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if self.ended:
                raise NotAListError
            self._more()

    def skip(self, num_characters: int) -> None:
        self.at += num_characters

    def element(self) -> tuple[int, bytes]:
        """Pass a value; gives its place in the file and its bytes."""
        while True:
            try:
                _, end = self._decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self.ended:
                    raise NotAListError from error
            except (ValueError, RecursionError) as error:
                raise NotAListError from error
            else:
                if end < len(self.text) or self.ended:  # a number may go on in what comes next
                    found = self.start + self.at, self.text[self.at : end].encode("latin-1")
                    self.at = end
                    return found
            self._more()

    def finish(self, closed: bool = False) -> None:
        """Check that nothing follows the list."""
        self.at += 0 if closed else 1
        while not self.ended:
            self._more()
        if self.text[self.at :].strip(SPACE):
            raise NotAListError

    def _more(self) -> None:
        """Drop what was passed and take in as much again as is left, a chunk at least."""
        self.start += self.at
        self.text = self.text[self.at :]
        self.at = 0
        chunk = self.file.read(max(CHUNK, len(self.text)))
        self.ended = not chunk
        self.text += chunk.decode("latin-1")
