import multiprocessing
import os
import threading

import numpy as np
import pytest
import torch

from merv.data.pipes import receive, send
from merv.data.sample import Example


def round_trip(value):
    reader, writer = multiprocessing.Pipe()
    thread = threading.Thread(target=send, args=(writer, value))
    thread.start()
    result = receive(reader)
    thread.join(timeout=10)
    return result


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(12, dtype=torch.int64).reshape(3, 4).T,
        torch.randn(2, 3, dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.empty(0, 3),
        torch.tensor(5),
        torch.zeros(300_000, dtype=torch.uint8),
    ],
    ids=["strided", "bfloat16", "bool", "empty", "scalar", "larger than a pipe"],
)
def test_tensors_arrive_as_they_were_sent(tensor):
    result = round_trip({"frames": tensor})["frames"]

    assert result.dtype == tensor.dtype
    assert torch.equal(result, tensor)


def test_received_tensors_can_be_written_to():
    result = round_trip(torch.zeros(4))

    result += 1

    assert result.tolist() == [1.0] * 4


def test_only_the_part_of_a_storage_that_is_meant_travels():
    big = torch.zeros(1_000_000)

    assert round_trip(big[:2]).untyped_storage().nbytes() == 8


def test_examples_and_arrays_arrive_together():
    example = Example(torch.tensor([1, 2]), torch.tensor([-100, 2]), {"v": torch.ones(1, 3, 2, 2)}, "x")

    got, array = round_trip((example, np.arange(3)))

    assert got.sample_id == "x"
    assert torch.equal(got.frames["v"], example.frames["v"])
    assert array.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kept", [0, 1, 3000])
def test_a_message_cut_off_in_the_middle_is_the_end_of_the_pipe(kept):
    whole_reader, whole_writer = multiprocessing.Pipe()
    send(whole_writer, torch.zeros(5000, dtype=torch.uint8))
    message = os.read(whole_reader.fileno(), 10_000)
    reader, writer = multiprocessing.Pipe()

    os.write(writer.fileno(), message[:kept])
    writer.close()

    with pytest.raises((EOFError, OSError)):
        receive(reader)
