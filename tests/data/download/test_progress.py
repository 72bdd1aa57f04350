import sys

from merv.data.download.progress import EVERY_S, Progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_without_a_terminal_a_line_comes_now_and_then():
    lines, clock = [], Clock()

    with Progress(2_000_000_000, lines.append, terminal=False, clock=clock) as progress:
        progress.say("fetching")
        for _ in range(10):
            progress.add(100_000_000)
            clock.now += EVERY_S / 4

    assert lines == ["fetching 0.50 of 2.00 GB\n", "fetching 0.90 of 2.00 GB\n"]


def test_bytes_that_come_again_are_taken_back():
    progress = Progress(100, print, terminal=False)

    progress.add(60)
    progress.add(-60)
    progress.add(100)

    assert progress.done == 100


def test_on_a_terminal_there_is_one_bar_and_no_line(capsys, monkeypatch):
    lines = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    with Progress(1000, lines.append) as progress:
        progress.say("unpacking videos.tar.gz")
        progress.add(1000)

    assert lines == []
    assert "unpacking videos.tar.gz" in capsys.readouterr().err
