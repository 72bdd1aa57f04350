import json

import numpy as np
import pytest
from models.rows import tiny_model

from merv.errors import ConfigError
from merv.evaluation.metrics.captions import vasevqa
from merv.evaluation.runner import evaluate
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.captions import CaptionTask, Embedders
from merv.evaluation.text_embedding import clip_texts, sentence_texts

from ..fakes import RuleLM
from ..text_models import write_clip, write_sentence
from .pairs import draw_clip

REFERENCES = ["red kylix, 490, a flute player", "black lekythos, 510, two boars", "white hydria", "a red krater, 450"]
CAPTIONS = ["red kylix, a flute player", "black amphora with a boar", "", "white hydria, 480"]
FIVE = ("clip_score", "r_at_1", "r_at_5", "r_at_10", "lexical_similarity")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {"clip_path": write_clip(root / "clip"), "sentence_path": write_sentence(root / "sentence")}


def rows(references=REFERENCES):
    return [{"images": [f"vase-{number}_1.jpg"], "caption": text} for number, text in enumerate(references)]


def made(tmp_path, models, content=None, **options):
    """The task with its file and an animated GIF of each vase."""
    path = tmp_path / "groundTruth.json"
    path.write_text(json.dumps(rows() if content is None else content))
    for number in range(len(REFERENCES)):
        draw_clip(tmp_path / f"media/vase-{number}_1.gif")
    return TaskConfig.new(
        "vase-captions", annotations=path, media_root=tmp_path / "media", **models, **options
    ).build()


def items(task, captions=CAPTIONS, failed=()):
    parsed = [task.parse(sample, text) for sample, text in zip(task.samples(), captions, strict=True)]
    return [
        Item(sample, task.score(sample, p), p, text, "no video" if number in failed else None)
        for number, (sample, p, text) in enumerate(zip(task.samples(), parsed, captions, strict=True))
    ]


def oracle(models, captions, references):
    embedders = {
        "clip_embed": clip_texts(models["clip_path"]),
        "sentence_embed": sentence_texts(models["sentence_path"]),
    }
    return vasevqa(captions, references, **embedders)


def test_whole_captions_score_what_the_metrics_say(tmp_path, models):
    task = made(tmp_path, models)
    captions = [*CAPTIONS[:2], "a hydria", CAPTIONS[3]]

    summary = task.summary(task.settle(items(task, captions)))

    expected = oracle(models, captions, REFERENCES)
    assert {name: summary[name] for name in expected} == pytest.approx(expected)
    assert (summary["num_items"], summary["unparsed"], summary["failed"]) == (4, 0, 0)


def test_the_official_protocol_leaves_out_what_is_missing(tmp_path, models):
    task = made(tmp_path, models, protocol="official")

    summary = task.summary(task.settle(items(task, failed=(1,))))

    there = [0, 3]
    expected = oracle(models, [CAPTIONS[i] for i in there], [REFERENCES[i] for i in there])
    assert {name: summary[name] for name in expected} == pytest.approx(expected)
    assert (summary["num_items"], summary["unparsed"], summary["failed"]) == (4, 1, 1)


def test_a_missing_caption_counts_as_nothing_otherwise(tmp_path, models):
    task = made(tmp_path, models)

    settled = task.settle(items(task, failed=(1,)))

    assert settled[1].scores["clip_score"] == settled[2].scores["clip_score"] == 0
    assert set(settled[2].scores.values()) == {0}
    summary = task.summary(settled)
    alone = task.summary([settled[0], settled[3]])
    for name in ("clip_score", "r_at_5"):
        assert summary[name] == pytest.approx(alone[name] / 2)


def table_of(vectors):
    """An embedding by a table of texts."""
    return lambda: lambda texts: np.array([vectors[text] for text in texts], dtype=float)


def test_hits_and_cosines_of_known_vectors(tmp_path, models):
    true = {"r0": [1, 0], "r1": [0, 1], "r2": [1, 1]}
    said = {"near 0": [2, 0.1], "near 0 too": [1, -0.1], "r2": [1, 1]}
    samples = made(tmp_path, models, rows(["r0", "r1", "r2"])).samples()
    vectors = table_of({**true, **said})
    task = CaptionTask("t", samples, {"protocol": "merv"}, Embedders(vectors, vectors))

    settled = task.settle(items(task, list(said)))

    assert [item.scores["r_at_1"] for item in settled] == [1, 0, 1]
    assert [item.scores["r_at_5"] for item in settled] == [1, 1, 1]
    assert settled[0].scores["clip_score"] == pytest.approx(2 / np.hypot(2, 0.1))
    assert settled[1].scores["clip_score"] == pytest.approx(-0.1 / np.hypot(1, 0.1))


@pytest.mark.parametrize("captions", [["", " ", "", ""], ["a kylix", "", "", ""]])
def test_too_few_captions_have_no_distance(tmp_path, models, captions):
    task = made(tmp_path, models)

    summary = task.summary(task.settle(items(task, captions)))

    assert "fid_score" not in summary
    assert summary["unparsed"] == sum(not text.strip() for text in captions)
    assert all(np.isfinite(summary[name]) for name in (*FIVE, "overall_score"))


@pytest.mark.parametrize("protocol", ["merv", "official"])
def test_nothing_said_at_all_is_zero(tmp_path, models, protocol):
    task = made(tmp_path, models, protocol=protocol)

    summary = task.summary(task.settle(items(task, [""] * 4)))

    assert [summary[name] for name in (*FIVE, "overall_score")] == [0] * 6


def test_a_rule_and_merv_tiny_are_scored_end_to_end(tmp_path, models):
    task = made(tmp_path, models)
    options = {"batch_size": 2, "max_new_tokens": 8, "num_workers": 0}

    by_rule = evaluate(RuleLM(lambda prompt: "red kylix"), task, out_dir=tmp_path / "rule", **options)
    by_tiny = evaluate(tiny_model(), task, out_dir=tmp_path / "tiny", **options)

    expected = oracle(models, ["red kylix"] * 4, REFERENCES)
    assert {name: by_rule[name] for name in expected} == pytest.approx(expected)
    assert (by_tiny["num_items"], by_tiny["failed"]) == (4, 0)
    card = json.loads((tmp_path / "rule/card.json").read_text())
    assert (card["protocol"], card["clip"]) == ("merv", f"transformers: {models['clip_path']}")
    assert card["sentence"] == str(models["sentence_path"])


def test_a_vase_is_a_picture_a_folder_of_views_or_a_video(tmp_path, models):
    media = tmp_path / "media"
    (media / "vase-1_1_textured_2k.glb_shaded").mkdir(parents=True)
    (media / "vase-0_1.jpg").touch()
    (media / "turning").mkdir()
    (media / "turning/vase.mp4").touch()
    content = [*rows(), {"video": "turning/vase", "caption": "a vase"}, {"images": ["none.jpg"], "caption": "?"}]

    task = made(tmp_path, models, content)

    refs = [sample.media[0] for sample in task.samples()]
    assert [(ref.path.relative_to(media).as_posix(), ref.kind) for ref in refs] == [
        ("vase-0_1.jpg", "image"),
        ("vase-1_1_textured_2k.glb_shaded", "video"),
        ("vase-2_1.gif", "video"),
        ("vase-3_1.gif", "video"),
        ("turning/vase.mp4", "video"),
        ("none.jpg", "image"),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"images": ["a.jpg"]}, "row 0 has no `caption`"),
        ({"caption": "a vase"}, "row 0 has no `images`"),
        ({"images": [], "caption": "a vase"}, r"row 0: images is \[\]; expected a list of file names"),
        ({"images": "a.jpg", "caption": "a vase"}, "expected a list of file names"),
    ],
)
def test_a_row_that_lacks_something_is_named(tmp_path, models, row, says):
    with pytest.raises(ConfigError, match=says):
        made(tmp_path, models, [row])


@pytest.mark.parametrize("option", ["clip_path", "sentence_path"])
def test_missing_models_are_named_before_anything_is_asked(tmp_path, models, option):
    with pytest.raises(ConfigError, match=rf"none holds no model .* set {option}"):
        made(tmp_path, {**models, option: tmp_path / "none"})


def test_open_clip_is_checked_before_anything_is_asked(tmp_path, models, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)

    with pytest.raises(ConfigError, match=r"open-clip is not installed; run pip install \"merv\[filters\]\""):
        made(tmp_path, models, clip="open-clip")
