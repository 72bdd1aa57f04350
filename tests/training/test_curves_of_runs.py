import json
import os

import numpy as np
import pytest
from PIL import Image

from merv.errors import ConfigError
from merv.training.curves_of_runs import plot_runs, read_curve


def write_run(folder, losses, tail="", **columns):
    folder.mkdir(parents=True)
    rows = [
        {"step": step, "loss": loss, **{name: values[step - 1] for name, values in columns.items()}}
        for step, loss in enumerate(losses, 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return folder


@pytest.fixture
def figures(monkeypatch):
    """Every figure that is saved."""
    from matplotlib.figure import Figure

    saved = []
    savefig = Figure.savefig

    def keep(figure, *args, **options):
        saved.append(figure)
        savefig(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_a_curve_is_read_in_order_without_torn_or_foreign_rows(tmp_path):
    tail = '[1]\n{"step": 9, "eval/a": 1.0}\n{"step": "x", "loss": 1}\n{"step": 4, "lo'
    run = write_run(tmp_path / "a", [2.0, None, 1.0], tail)

    curve = read_curve(run)

    assert curve.name == "a"
    np.testing.assert_array_equal(curve.step, [1, 2, 3])
    np.testing.assert_array_equal(curve.value, [2.0, np.nan, 1.0])


def test_of_a_step_logged_twice_the_later_row_counts(tmp_path):
    run = write_run(tmp_path / "a", [2.0, 1.0], '{"step": 1, "loss": 3.0}\n')

    np.testing.assert_array_equal(read_curve(run).value, [3.0, 1.0])


def test_another_metric_is_read_where_it_stands(tmp_path):
    run = write_run(tmp_path / "a", [2.0, 1.0], '{"step": 3, "loss": 1.0}\n', reward=[0.1, 0.4])

    np.testing.assert_array_equal(read_curve(run, "reward").value, [0.1, 0.4])


def test_a_run_without_metrics_or_without_this_one_is_refused(tmp_path):
    run = write_run(tmp_path / "a", [2.0], reward=[0.1])
    empty = write_run(tmp_path / "empty", [])

    with pytest.raises(ConfigError, match=r"none has no metrics\.jsonl; name the folder of a run"):
        read_curve(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"empty.metrics\.jsonl has no step yet"):
        read_curve(empty)
    with pytest.raises(ConfigError, match="no metric `rewrd`; did you mean `reward`\\? it has: loss, reward"):
        read_curve(run, "rewrd")
    with pytest.raises(ConfigError, match="no metric `zzz`; it has: loss, reward"):
        read_curve(run, "zzz")


def test_runs_stand_side_by_side_with_one_scale(tmp_path, figures):
    runs = [write_run(tmp_path / "long", [2.0] * 300), write_run(tmp_path / "short", [9.0, 8.0])]

    plot_runs(runs, tmp_path / "new" / "loss.png")

    [figure] = figures
    assert [axes.get_title() for axes in figure.axes] == ["long", "short"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    raw, bold = figure.axes[0].lines
    assert (raw.get_alpha(), raw.get_linewidth() < bold.get_linewidth()) == (0.35, True)
    assert [line.get_alpha() for line in figure.axes[1].lines] == [None]
    with Image.open(tmp_path / "new" / "loss.png") as image:
        assert image.format == "PNG"
        assert image.width > 1.5 * image.height


def test_runs_over_one_another_are_told_apart_by_colour_and_name(tmp_path, figures):
    runs = [write_run(tmp_path / name, [2.0] * 40) for name in "ab"]

    plot_runs(runs, tmp_path / "loss.png", together=True)

    [axes] = figures[0].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert len({line.get_color() for line in axes.lines}) == 2


@pytest.mark.parametrize("number", [1, 3, 4, 7])
def test_panels_stand_in_rows_of_three(tmp_path, figures, number):
    runs = [write_run(tmp_path / str(place), [1.0, 2.0]) for place in range(number)]

    plot_runs(runs, tmp_path / "loss.png")

    assert len(figures[0].axes) == number
    assert {axes.get_ylabel() for axes in figures[0].axes[::3]} == {"loss (mean over target tokens)"}
    assert {axes.get_ylabel() for axes in figures[0].axes if axes not in figures[0].axes[::3]} <= {""}


def test_the_window_decides_how_smooth_a_curve_is(tmp_path, figures):
    run = write_run(tmp_path / "a", [0.0, 3.0] * 50)

    plot_runs([run], tmp_path / "loss.png", window=1)
    plot_runs([run], tmp_path / "loss.png", window=50)

    assert len(figures[0].axes[0].lines) == 1
    bold = figures[1].axes[0].lines[1].get_ydata()
    assert np.ptp(bold[25:-25]) < 0.1


def test_runs_of_one_name_are_called_by_their_paths(tmp_path, figures):
    runs = [write_run(tmp_path / place / "run", [1.0]) for place in "xy"]

    plot_runs(runs, tmp_path / "loss.png")

    assert [axes.get_title() for axes in figures[0].axes] == [os.fspath(run) for run in runs]


@pytest.mark.parametrize("together", [False, True])
def test_a_run_may_have_any_name(tmp_path, together):
    plot_runs([write_run(tmp_path / r"a$\b$_c", [1.0])], tmp_path / "loss.png", together=together)

    assert (tmp_path / "loss.png").is_file()


def test_a_smoothed_line_is_not_shifted_by_an_even_window(tmp_path, figures):
    plot_runs([write_run(tmp_path / "a", list(range(40)))], tmp_path / "loss.png", window=4)

    bold = figures[0].axes[0].lines[1].get_ydata()
    np.testing.assert_allclose(bold[5:-5], np.arange(5.0, 35.0))
