import io
import logging
import math
import sys

import pytest

from merv.training.progress import Progress, Smoothed, count_text, duration_text, status_text

ROW = {
    "loss": 1.23456,
    "lr": 2e-5,
    "grad_norm": 0.5,
    "step_seconds": 2.0,
    "samples_per_second": 64.0,
    "tokens_per_second": 9000.0,
    "visual_tokens_per_second": 8192.0,
    "text_tokens_per_second": 808.0,
    "data_wait": 0.07,
    "bad_samples": 3.0,
    "peak_memory_gib": 61.27,
    "mfu": 0.412,
}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def test_status_names_every_number_in_the_row_and_no_other():
    assert status_text(ROW) == (
        "loss 1.2346 | lr 2.00e-05 | 64.00 samples/s | 8.2k visual tok/s | 808 text tok/s | data-wait 7% | bad 3 | "
        "61.3 GiB | MFU 41.2%"
    )
    assert status_text({"loss": 1.0}) == "loss 1.0000"


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (950, "950"), (12_345, "12.3k"), (4_500_000, "4.5M")])
def test_counts_are_short(value, text):
    assert count_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05"), (93_600, "1 d 2 h")]
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert duration_text(seconds) == text


def test_smoothing_starts_at_the_first_value_and_follows_slowly():
    smoothed = Smoothed(keep=0.9)

    assert smoothed.update({"loss": 5.0})["loss"] == pytest.approx(5.0)
    assert 2.5 < smoothed.update({"loss": 1.0})["loss"] < 5.0


def test_a_loss_that_is_not_finite_shows_and_does_not_stick():
    smoothed = Smoothed()
    smoothed.update({"loss": 5.0})

    assert math.isnan(smoothed.update({"loss": math.nan})["loss"])
    assert smoothed.update({"loss": 5.0})["loss"] == pytest.approx(5.0)


def test_without_a_terminal_there_is_a_line_now_and_then(lines):
    clock = Clock()
    with Progress(100, every_s=10, terminal=False, clock=clock) as progress:
        for step in range(1, 101):
            clock.now += 1.0
            progress.update(step, ROW)

    shown = lines()
    assert [line.split()[1] for line in shown] == [f"{n}/100" for n in (1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100)]
    assert shown[0] == f"step 1/100 | {status_text(ROW)} | ETA 3:18"
    assert shown[-1].endswith("ETA 0:00")


def test_counts_are_shown_as_they_are(lines):
    clock = Clock()
    with Progress(2, every_s=0, terminal=False, clock=clock) as progress:
        progress.update(1, {**ROW, "bad_samples": 0.0})
        progress.update(2, {**ROW, "bad_samples": 8.0})

    assert "bad 8" in lines()[1]


def test_other_processes_show_nothing(lines, monkeypatch):
    monkeypatch.setenv("RANK", "1")

    with Progress(2, every_s=0, terminal=False) as progress:
        progress.update(1, ROW)

    assert lines() == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


def open_terminal(monkeypatch):
    screen = Terminal()
    # Called by the test itself: pytest puts its own stderr back between fixtures and the test.
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return screen


def test_a_terminal_gets_a_bar_with_the_numbers(monkeypatch, lines):
    terminal = open_terminal(monkeypatch)
    with Progress(100, start=40) as progress:
        progress.update(41, ROW)

    screen = terminal.getvalue()
    assert "41/100" in screen
    assert "loss 1.2346" in screen
    assert "ETA 1:58" in screen
    assert lines() == []


def test_log_lines_go_above_the_bar_and_handlers_get_their_stream_back(monkeypatch):
    terminal = open_terminal(monkeypatch)
    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    try:
        with Progress(100):
            assert handler.stream is not terminal
            logging.getLogger().warning("a clip could not be read")
    finally:
        logging.getLogger().removeHandler(handler)

    assert handler.stream is terminal
    assert "a clip could not be read" in terminal.getvalue()
