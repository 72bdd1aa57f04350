import pytest

from merv.errors import ConfigError

from .small import real
from .span_small import answered, small


def test_lines_become_sentences_with_one_window_and_the_length_of_the_csv(tmp_path):
    first, second = small("charades-sta", tmp_path).build().samples()

    assert (first.id, first.meta["windows"], first.meta["duration"]) == ("AAAAA_1", [(2.0, 4.0)], 10.0)
    assert first.media[0].path == tmp_path / "charades_sta/videos/AAAAA.mp4"
    assert (second.id, second.meta["query"]) == ("BBBBB_3", "a dog: sleeps ## well.")
    assert second.meta["windows"] == [(6.0, 12.5)]  # past the length of 12 s, as annotated


def test_an_unknown_length_is_said_and_the_question_asked_without(tmp_path, caplog):
    config = small("charades-sta", tmp_path)
    (tmp_path / "charades_sta/Charades_v1_test.csv").unlink()
    (tmp_path / "charades_sta/durations.json").write_text('{"AAAAA": 10}')

    samples = config.build().samples()

    assert [sample.meta["duration"] for sample in samples] == [10.0, None]
    assert "1 of 2 questions are asked without the duration" in caplog.text


def test_a_window_that_runs_backwards_is_put_in_order(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("AAAAA 4.0 2.0##a cat jumps.\n")

    assert small("charades-sta", tmp_path, annotations=path).build().samples()[0].meta["windows"] == [(2.0, 4.0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("AAAAA 2.0 4.0 a cat jumps.", "line 1: found 'AAAAA 2.0 4.0 a cat jumps.'; expected"),
        ("AAAAA 2.0##a cat jumps.", "expected `VIDEO start end##sentence`"),
        ("AAAAA 2.0 soon##a cat jumps.", "line 1: found 'AAAAA 2.0 soon##a cat jumps.'; expected"),
        ("AAAAA 2.0 nan##a cat jumps.", "start and end in seconds; repair or drop the row"),
        ("", "is empty"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "lines.txt"
    path.write_text(line + "\n")

    with pytest.raises(ConfigError, match=message):
        small("charades-sta", tmp_path, annotations=path).build()


@pytest.mark.parametrize(("protocol", "mean"), [("videomind", 0.25), ("timechat", 0.25), ("tall", (0.5 - 0.4) / 2)])
def test_windows_apart_lower_the_mean_of_tall_only(tmp_path, protocol, mean):
    task = small("charades-sta", tmp_path, protocol=protocol).build()

    summary = task.summary(answered(task, [[2, 6]], [[0, 2]]))

    # The second misses 6 .. 12.5 by 4 s of the hull's 12.5; its prediction is 2 s.
    assert summary["mIoU"] == pytest.approx(mean if protocol != "tall" else (0.5 - 4 / 12.5) / 2)
    assert (summary["R1@0.5"], summary["iou"]) == (0.5, 0.25)
    assert task.describe() == {"condition": "video", "protocol": protocol}


def test_the_genuine_files_are_read():
    folder = real("annotations", "charades_sta")

    samples = small("charades-sta", folder, annotations=folder / "charades_sta_test.txt").build().samples()

    assert len(samples) == 250
    assert samples[0].meta["windows"] == [(24.3, 30.4)]
    assert (samples[0].meta["query"], samples[0].media[0].path.name) == ("person turn a light on.", "3MSZA.mp4")
    assert all(sample.meta["duration"] for sample in samples)
    assert sum(sample.meta["windows"][0][1] > sample.meta["duration"] for sample in samples) > 0
