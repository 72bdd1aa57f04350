"""Rows through our processor become the ids, labels and targets VideoMind's data code was recorded with."""

import json
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from merv.backbones.llm.templates import TEMPLATES
from merv.chat import Turn
from merv.models.qwen2_vl import processor as module
from merv.models.qwen2_vl.config import SYSTEM
from merv.models.qwen2_vl.processor import Geometry, RoleProcessor
from merv.models.qwen2_vl.roles import ROLES, Request, Role
from merv.models.qwen2_vl.tokens import TokenIds, add_tokens
from merv.video.decode import Clip
from merv.video.media import MediaRef, Span

from ..recorded import SHARED
from .role_rows import sample

CASES = json.loads((SHARED / "e_videomind_targets.json").read_text())["cases"] if SHARED.exists() else []
NAMES = ["one window", "two windows", "marks", "two turns"]

pytestmark = pytest.mark.skipif(not CASES, reason="recordings of VideoMind are not beside this checkout")


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(str(SHARED / "tokenizers" / "qwen2vl_tiny"))
    add_tokens(found)
    return found


def turns_of(text):
    """The conversation behind a recorded text."""
    said = []
    for piece in text.split("<|im_start|>")[2:]:
        speaker, _, words = piece.partition("\n")
        said.append(Turn(speaker, words.partition("<|im_end|>")[0].rpartition("<|vision_end|>")[2]))
    return tuple(said)


def recorded_example(case, tokenizer, monkeypatch):
    """The example our processor makes, of a video with the recorded grid."""
    meta, (steps, rows, columns) = case["meta"], case["grid"]
    duration = meta.get("duration", 8.0)
    frames = torch.zeros(2 * steps, 3, 14 * rows, 14 * columns, dtype=torch.uint8)
    clip = Clip(frames, tuple(float(number) for number in range(2 * steps)), duration, span=Span(0.0, duration))
    windows = tuple(tuple(window) for window in meta.get("span", ()))
    request = Request(turns_of(case["text"]), windows, candidate=(2.0, 5.0) if "ss" in meta else None)
    monkeypatch.setattr("merv.video.decode.read_sampled", lambda ref, budget: clip)
    monkeypatch.setitem(ROLES, "grounder", Role(lambda row, wording: request, ROLES["grounder"].budget))
    if "ss" in meta:
        monkeypatch.setattr(module, "context_of", lambda *_: (Span(0.0, duration), meta["ss"], meta["se"]))
    monkeypatch.setattr(module.zlib, "crc32", lambda _: case["random_seed"])
    made = RoleProcessor(
        role="grounder",
        tokenizer=tokenizer,
        ids=TokenIds.of(tokenizer),
        template=replace(TEMPLATES["qwen2"], system=SYSTEM),
        geometry=Geometry(),
        budgets={name: role.budget for name, role in ROLES.items()},
    )
    return made.prepare(sample(MediaRef("clip.mp4"), duration=duration))


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_ids_and_labels_are_the_recorded_ones(case, tokenizer, monkeypatch):
    found = recorded_example(case, tokenizer, monkeypatch)

    assert found.input_ids.tolist() == case["input_ids"]
    assert found.labels.tolist() == case["labels"]
    assert list(found.grid) == case["grid"]


@pytest.mark.parametrize("case", [case for case in CASES if "timestamps" in case], ids=NAMES[:2])
def test_moments_are_the_recorded_ones(case, tokenizer, monkeypatch):
    found = recorded_example(case, tokenizer, monkeypatch).moments

    assert_close(found.spans, torch.tensor(case["timestamps"][0]), rtol=0, atol=1e-7)
    assert found.saliency.tolist() == case["saliency"]
    assert [found.positive] == case["pos_clip"]


@pytest.mark.parametrize("case", [case for case in CASES if "timestamps" not in case], ids=NAMES[2:])
def test_rows_without_windows_have_no_moments(case, tokenizer, monkeypatch):
    assert recorded_example(case, tokenizer, monkeypatch).moments is None
