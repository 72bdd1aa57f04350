import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from merv.agent.preparing import Preparing, duration_of
from merv.data.formats.synthetic import encode_clip
from merv.errors import SampleError
from merv.video.media import MediaRef

from .fakes import FileProcessor, ScriptedModel, choice


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    encode_clip(path, np.zeros((12, 32, 32, 3), dtype=np.uint8), 8)
    return path


def test_a_video_is_measured_without_decoding(clip):
    assert duration_of(MediaRef(clip)) == pytest.approx(1.5)


def test_a_folder_of_frames_is_measured_at_its_rate(tmp_path):
    for number in range(6):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")

    assert duration_of(MediaRef(tmp_path)) == pytest.approx(2.0)


@pytest.mark.parametrize("content", [None, b"", b"no video at all"])
def test_what_is_no_video_cannot_be_measured(tmp_path, content):
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)

    with (
        Preparing(FileProcessor(), num_workers=0, deadline_s=9) as preparing,
        pytest.raises(SampleError, match=r"a\.mp4"),
    ):
        preparing.duration(MediaRef(path))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_model_keeps_its_weights_and_prepares_elsewhere(tmp_path, clip, num_workers):
    model = ScriptedModel()

    with Preparing(model.processor, num_workers=num_workers, deadline_s=30) as preparing:
        other = preparing.given_to(model)
        found = other.ask([("answerer", choice(clip)), ("answerer", choice(tmp_path / "none.mp4"))])
        assert preparing.duration(MediaRef(clip)) == pytest.approx(1.5)

    assert found[0].text == "(B) cross"
    assert "none.mp4` does not exist" in str(found[1])
    assert other.script is model.script
    assert isinstance(model.processor, FileProcessor)


def test_a_video_that_hangs_its_decoder_fails_and_the_next_is_prepared(tmp_path):
    (tmp_path / "hang.mp4").touch()
    (tmp_path / "good.mp4").touch()

    with Preparing(FileProcessor(), num_workers=1, deadline_s=0.3) as preparing:
        model = preparing.given_to(ScriptedModel())
        hanging, good = model.ask([("answerer", choice(tmp_path / f"{name}.mp4")) for name in ("hang", "good")])

    assert "took longer than 0.3 s" in str(hanging)
    assert good.text == "(B) cross"


class Pid(FileProcessor):
    """Tells which process prepares."""

    def prepare(self, sample, *, answer=True):
        return os.getpid()


def test_processes_live_on_and_share_what_is_asked_at_a_time():
    with Preparing(Pid(), num_workers=2, deadline_s=30) as preparing:
        pids = [pid for _ in range(3) for pid in preparing.do([("answerer", choice(), False)] * 6)]

    assert os.getpid() not in pids
    assert 1 <= len(set(pids)) <= 2


def test_jobs_come_back_in_their_order():
    paths = [Path(f"missing-{number}.mp4") for number in range(5)]

    with Preparing(FileProcessor(), num_workers=2, deadline_s=30) as preparing:
        found = preparing.do([("answerer", choice(path), False) for path in paths])

    assert [str(error) for error in found] == [f"video `{path}` does not exist" for path in paths]
