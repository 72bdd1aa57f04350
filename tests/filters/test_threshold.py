import numpy as np
import pytest
from PIL import Image

from merv.errors import ConfigError
from merv.filters.threshold import draw_histogram, sample_of, spread


def test_a_spread_has_the_numbers_of_numpy():
    scores = [0.01 * number for number in range(101)]

    found = spread(scores)

    assert (found.count, found.min, found.max) == (101, 0.0, 1.0)
    assert (found.mean, found.median) == (0.5, 0.5)
    assert found.std == pytest.approx(np.std(scores), abs=1e-6)
    assert found.percentiles == pytest.approx({10: 0.1, 25: 0.25, 50: 0.5, 75: 0.75, 90: 0.9})


def test_the_automatic_threshold_keeps_three_quarters():
    found = spread(list(np.random.default_rng(0).normal(size=1000)))

    assert found.auto == found.percentiles[25]
    assert found.kept == {10: 0.9, 25: 0.75, 50: 0.5, 75: 0.25, 90: 0.1}


def test_equal_scores_are_all_kept():
    assert spread([0.1, 0.1, 0.1]).kept == dict.fromkeys((10, 25, 50, 75, 90), 1.0)


def test_the_table_has_a_line_a_percentile_and_says_which_one_is_automatic():
    lines = spread([0.0, 0.1, 0.2, 0.3]).table().splitlines()

    assert lines[0].startswith("4 scores: mean 0.1500, std 0.1118")
    assert [line.split()[0] for line in lines[3:]] == ["P10", "P25", "P50", "P75", "P90"]
    assert [line.endswith("(auto)") for line in lines[3:]] == [False, True, False, False, False]


def test_json_has_plain_numbers_by_name():
    said = spread([0.0, 1.0]).as_json()

    assert set(said) == {
        *("count", "mean", "std", "min", "max", "median", "kept"),
        *("p10", "p25", "p50", "p75", "p90"),
    }
    assert all(type(value) in (int, float) for name, value in said.items() if name != "kept")


def test_no_scores_have_no_threshold():
    with pytest.raises(ConfigError, match="no image of the sample could be read"):
        spread([])


def test_a_seed_decides_the_sample_and_it_keeps_the_order():
    paths = [f"{number:03d}" for number in range(100)]

    one, same, other = (sample_of(paths, 20, seed) for seed in (1, 1, 2))

    assert one == same == sorted(one)
    assert len(set(one)) == 20
    assert one != other


def test_a_sample_larger_than_the_folder_is_the_folder():
    assert sample_of("abc", 3, 0) == sample_of("abc", 500, 0) == ["a", "b", "c"]


def test_the_histogram_has_both_colours_and_the_line(tmp_path):
    file = tmp_path / "histogram.png"

    draw_histogram(list(np.linspace(-1, 1, 50)), 0.0, file, title="50 images")

    pixels = np.asarray(Image.open(file).convert("RGB")).reshape(-1, 3).astype(int)
    red = (pixels[:, 0] > 180) & (pixels[:, 1] < 90) & (pixels[:, 2] < 90)
    blue = (pixels[:, 2] > 150) & (pixels[:, 0] < 120)
    assert red.sum() > 50
    assert blue.sum() > 1000
