"""The chain on the smallest model that plays roles; what its random weights say does not matter."""

import numpy as np
import pytest

import merv.conf.models
import merv.conf.roles  # noqa: F401 - registers role-tiny
from merv.agent.chain import Chain
from merv.agent.preparing import Preparing
from merv.data.formats.synthetic import encode_clip
from merv.errors import SampleError
from merv.models.base import ModelConfig

from .fakes import both


@pytest.fixture(scope="module")
def model():
    return ModelConfig.new("role-tiny-grounder").build(seed=1).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    encode_clip(path, np.random.default_rng(0).integers(0, 255, (32, 32, 32, 3), dtype=np.uint8), 8)
    return path


def test_a_chain_asks_a_real_model_and_measures_a_real_video(model, clip):
    chain = Chain(model, ("grounder", "answerer"), max_new_tokens=2)

    reply = chain.answer(both(clip, duration=None))

    assert reply.record["duration"] == pytest.approx(4.0)
    assert all(0.0 <= start <= end <= 4.0 + 1e-6 for start, end, _ in reply.spans)
    with Preparing(model.processor, num_workers=0, deadline_s=60) as preparing:
        assert chain.prepared_by(preparing).answer(both(clip, duration=None)) == reply


def test_a_missing_video_fails_the_sample(model, tmp_path):
    with pytest.raises(SampleError, match=r"none\.mp4"):
        Chain(model, ("grounder",)).answer(both(tmp_path / "none.mp4"))
