"""A process that falls behind is named in the log of the one that waits."""

import logging
import os
import time
from unittest import mock

import pytest
from helpers import run_distributed, run_words, train

from merv.models.multi_encoder.processor import MultiEncoderProcessor


def train_with_a_slow_second_rank(command):
    """Train; the second process takes three seconds over its third row.  Gives the watchdog's errors."""
    heard: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(record.getMessage())
    logging.getLogger("merv.training.watchdog").addHandler(handler)
    prepared = 0
    prepare = MultiEncoderProcessor.prepare

    def slow(self, sample, **options):
        nonlocal prepared
        prepared += 1
        if os.environ["RANK"] == "1" and prepared == 3:
            time.sleep(3)
        return prepare(self, sample, **options)

    with mock.patch.object(MultiEncoderProcessor, "prepare", slow):
        train(command)
    return heard


@pytest.mark.dist
def test_the_rank_the_others_wait_for_is_named_with_its_step(mixed_data, tmp_path):
    sizes = {"global_batch_size": 4, "per_device_batch_size": 2, "max_steps": 2}
    command = run_words(mixed_data, tmp_path, "run", "--watchdog_s", "1", strategy="ddp", **sizes)

    heard = [line for lines in run_distributed(train_with_a_slow_second_rank, command) for line in lines]

    lines = [line for line in heard if "rank 1 is at step 1 in data" in line]
    assert len(lines) == 1
    assert "look for a file that hangs in decoding" in lines[0]
