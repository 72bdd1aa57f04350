from pathlib import Path

import numpy as np
import pytest

from merv.data.converting.plan import make_plan, together
from merv.data.dataset import Source
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.video.media import MediaRef, Span, Within


def source(*shown):
    return Source("own", [Sample(f"r{number}", (), tuple(refs)) for number, refs in enumerate(shown)])


def file(folder, name, size=10):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return MediaRef(path)


def test_rows_of_the_same_files_go_together_in_the_order_of_the_files(tmp_path):
    a, b = file(tmp_path, "a.mp4"), file(tmp_path, "b.mp4")
    cut = MediaRef(a.path, span=Span(1, 2))

    plan = make_plan(source([b], [], [a], [b], [a, b], [], [cut], [b, a], [b]), None, "stop")

    assert [group.tolist() for group in together(plan)] == [[0, 3, 8], [1], [2, 6], [4], [5], [7]]


def test_media_are_counted_once_and_their_folder_found(tmp_path):
    rows = source(
        [file(tmp_path / "in", "a", 10)], [file(tmp_path / "in" / "b", "b", 5)], [MediaRef(tmp_path / "in/a")]
    )

    plan = make_plan(rows, None, "stop")

    assert (plan.num_bytes, plan.folder) == (15, tmp_path / "in")
    assert make_plan(rows, 1, "stop").num_bytes == 10
    assert make_plan(source([]), None, "stop").folder is None


def test_relative_paths_share_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = [MediaRef(Path("data/a/1.mp4")), MediaRef(Path("data/b/2.mp4"))]

    assert make_plan(source(relative), None, "keep").folder == Path("data")
    assert make_plan(source([*relative, MediaRef(tmp_path / "c.mp4")]), None, "keep").folder == tmp_path
    assert make_plan(source([MediaRef(Path("1.mp4"))], [MediaRef(Path("a/1.mp4"))]), None, "keep").folder == Path()


def test_a_missing_file_is_one_line_unless_it_is_skipped_or_kept(tmp_path):
    rows = source([file(tmp_path, "a")], [MediaRef(tmp_path / "none.mp4")])

    with pytest.raises(
        ConfigError, match=r"row 1 \(id `r1`\): video `.*none\.mp4` does not exist; .* --on_missing skip"
    ):
        make_plan(rows, None, "stop")
    assert make_plan(rows, None, "skip").num_bytes == 10
    assert make_plan(rows, None, "keep").num_bytes == 0


def test_frames_and_pieces_are_measured(tmp_path):
    for number in range(3):
        file(tmp_path / "frames", f"{number}.png", 4)
    piece = MediaRef(file(tmp_path, "0.tar", 100).path, within=Within("a", ((10, 7),)))

    assert make_plan(source([MediaRef(tmp_path / "frames")], [piece]), None, "stop").num_bytes == 19


def test_a_dataset_without_rows_is_one_line():
    with pytest.raises(ConfigError, match="dataset `own` has no rows to convert"):
        make_plan(source(), None, "stop")


def test_the_plan_of_many_rows_is_an_array():
    plan = make_plan(source(*([] for _ in range(1000))), None, "stop")

    assert isinstance(plan.groups, np.ndarray)
    assert plan.groups.nbytes == 8000
