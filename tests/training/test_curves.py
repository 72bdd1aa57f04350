import json

import numpy as np
import pytest

from merv.errors import ConfigError
from merv.training.curves import plot_loss, read_course, smooth


def write_rows(path, rows, tail=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return path


@pytest.mark.parametrize("num_steps", [1, 5, 300])
def test_plot_is_a_png_for_short_and_long_runs(tmp_path, num_steps):
    from PIL import Image

    rows = [{"step": s, "loss": 2.0 / s, "lr": 1e-5} for s in range(1, num_steps + 1)]

    plot_loss(write_rows(tmp_path / "metrics.jsonl", rows), tmp_path / "figures" / "loss.png")

    with Image.open(tmp_path / "figures" / "loss.png") as image:
        assert image.format == "PNG"
        assert image.width > 600
        assert len(image.convert("RGB").getcolors(2**24)) > 10


def test_course_passes_over_torn_lines_evaluation_rows_and_nulls(tmp_path):
    rows = [{"step": 1, "loss": 2.0, "lr": 1.0}, {"step": 2, "eval/nextqa/accuracy": 0.5}, {"step": 3, "loss": None}]

    course = read_course(write_rows(tmp_path / "metrics.jsonl", rows, tail='{"step": 4, "lo'))

    np.testing.assert_array_equal(course.step, [1, 3])
    np.testing.assert_array_equal(course.loss, [2.0, np.nan])
    np.testing.assert_array_equal(course.lr, [1.0, np.nan])


def test_smoothing_keeps_a_constant_and_bridges_a_gap():
    values = np.full(20, 3.0)
    values[7] = np.nan

    np.testing.assert_allclose(smooth(values, window=5), 3.0)


def test_missing_or_empty_metrics_say_so_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no metrics at"):
        read_course(tmp_path / "metrics.jsonl")
    with pytest.raises(ConfigError, match="no step with a loss"):
        read_course(write_rows(tmp_path / "metrics.jsonl", []))
