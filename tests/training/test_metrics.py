import logging

import pytest
import torch

from merv.training.metrics import InputBoundNotice, StepMetrics, device_name, peak_memory_gib


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def one_step(metrics, clock, *, wait=1.0, work=3.0, **finish):
    with metrics.waiting():
        clock.now += wait
    metrics.count(samples=4, text_tokens=40, visual_tokens=400)
    clock.now += work
    return metrics.finish(**{"loss": 2.0, "lr": 1e-3, "grad_norm": 0.5, **finish})


def test_a_row_holds_the_exact_numbers_of_its_step():
    clock = Clock()
    metrics = StepMetrics(torch.device("cpu"), clock=clock)

    row = one_step(metrics, clock, bad_samples=2)

    assert row.pop("peak_memory_gib") > 0
    assert row == {
        "loss": 2.0,
        "lr": 1e-3,
        "grad_norm": 0.5,
        "step_seconds": 4.0,
        "samples_per_second": 1.0,
        "tokens_per_second": 110.0,
        "visual_tokens_per_second": 100.0,
        "text_tokens_per_second": 10.0,
        "data_wait": 0.25,
        "bad_samples": 2.0,
    }


def test_micro_batches_of_one_step_add_up_and_the_next_step_starts_from_zero():
    clock = Clock()
    metrics = StepMetrics(torch.device("cpu"), clock=clock)
    metrics.count(samples=4, text_tokens=0, visual_tokens=0)

    first = one_step(metrics, clock)
    second = one_step(metrics, clock, wait=0.0, work=2.0)

    assert first["samples_per_second"] == 2.0
    assert second["samples_per_second"] == 2.0
    assert second["data_wait"] == 0.0


def test_restart_leaves_out_what_happened_between_steps():
    clock = Clock()
    metrics = StepMetrics(torch.device("cpu"), clock=clock)
    clock.now += 100.0

    metrics.restart()

    assert one_step(metrics, clock)["step_seconds"] == 4.0


def test_processes_are_summed_but_the_longest_wait_counts():
    clock = Clock()

    def gather(own):
        other = [1.0, 10.0, 100.0, 2.0, 3.0, 1e6, 0.0]
        return [own, other]

    row = one_step(StepMetrics(torch.device("cpu"), gather=gather, clock=clock), clock, bad_samples=1)

    assert row["samples_per_second"] == 5 / 4
    assert row["visual_tokens_per_second"] == 500 / 4
    assert row["text_tokens_per_second"] == 50 / 4
    assert row["data_wait"] == 0.5
    assert row["bad_samples"] == 4
    assert row["peak_memory_gib"] == 1e6


def test_mfu_is_there_only_for_a_known_device_and_counted_flops():
    clock = Clock()
    metrics = StepMetrics(torch.device("cpu"), clock=clock)
    assert "mfu" not in one_step(metrics, clock, flops=1e12)

    metrics.device_name = "NVIDIA A100-SXM4-80GB"

    assert one_step(metrics, clock, flops=4 * 156e12)["mfu"] == pytest.approx(0.5)
    assert "mfu" not in one_step(metrics, clock)


def test_cpu_memory_is_what_the_process_holds():
    assert 0.01 < peak_memory_gib(torch.device("cpu")) < 1000
    assert device_name(torch.device("cpu")) == "cpu"


def watch(notice, share, steps):
    for _ in range(steps):
        notice.observe({"data_wait": share, "step_seconds": 2.0})


def test_waiting_for_data_is_said_once_with_the_remedy(caplog):
    notice = InputBoundNotice(num_workers=3, window=5, skip=0)

    with caplog.at_level(logging.INFO):
        watch(notice, 0.6, 30)
        watch(notice, 0.0, 30)

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "input-bound: 60 % of the last 5 steps" in caplog.text
    assert "workers (now 3 a process" in caplog.text


def test_a_compute_bound_run_is_said_to_be_one_and_may_turn_input_bound_later(caplog):
    notice = InputBoundNotice(num_workers=3, window=5, skip=0)

    with caplog.at_level(logging.INFO):
        watch(notice, 0.1, 10)
        watch(notice, 0.9, 10)

    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("compute-bound: 10 %")
    assert second.startswith("input-bound")


def test_the_first_steps_and_a_short_run_give_no_verdict(caplog):
    notice = InputBoundNotice(num_workers=3, window=5, skip=2)

    with caplog.at_level(logging.INFO):
        watch(notice, 1.0, 6)

    assert not caplog.records
