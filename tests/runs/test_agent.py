import json
from pathlib import Path

import numpy as np
import pytest
from agent.fakes import PLAN, ScriptedModel
from PIL import Image

from merv.conf.parse import parse
from merv.data.formats.synthetic import encode_clip, write_synthetic
from merv.errors import ConfigError
from merv.evaluation.tasks.mcq import SyntheticMcqConfig
from merv.models.reply import Reply
from merv.runs import ask, evaluate
from merv.runs.ask import AskConfig
from merv.runs.cli import main
from merv.runs.evaluate import EvalConfig

CHAIN = ["planner", "grounder", "verifier", "answerer"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_synthetic(root / "download/synthetic", num_train=1, num_eval=2, seed=1, side=32)
    return root


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "clip.mp4"
    encode_clip(path, np.zeros((160, 32, 32, 3), dtype=np.uint8), 8)
    return path


@pytest.fixture
def model(monkeypatch, tmp_path) -> ScriptedModel:
    """What `runs/a` loads as; the process stands in a folder of its own."""
    model = ScriptedModel()
    monkeypatch.chdir(tmp_path)
    for module in (ask, evaluate):
        monkeypatch.setattr(module, "load", lambda *args, **options: model)
    monkeypatch.setattr(evaluate, "about_run", lambda path, adapter: {"path": str(path), "weights_sha256": "abc"})
    (tmp_path / "runs/a").mkdir(parents=True)
    return model


@pytest.fixture
def asking(model, monkeypatch):
    """The same where it is asked without processes of its own."""
    model.processor.prepare_all = lambda samples, answer=True: [model.processor.prepare(s) for s in samples]
    return model


def test_an_agent_is_evaluated_into_a_folder_of_its_own(model, drawn):
    config = EvalConfig(Path("runs/a"), SyntheticMcqConfig(drawn), agent=CHAIN, num_workers=0)

    assert evaluate.run(config) == 0

    out = Path("runs/a/eval/synthetic-mcq-agent-planner-grounder-verifier-answerer")
    card = json.loads((out / "card.json").read_text())
    assert (card["agent"]["roles"], card["generation"]["max_new_tokens"]) == (CHAIN, 32)
    assert json.loads((out / "results.json").read_text())["num_items"] == 2
    record = json.loads((out / "predictions.jsonl").read_text().splitlines()[0])["record"]
    assert record["planner"]["text"] == PLAN


def test_the_command_line_names_roles_as_other_lists():
    words = ["--model", "runs/a", "--agent", "planner,grounder", "--chain.candidates", "3", "--chain.paths", "[1,2]"]

    with pytest.raises(ConfigError, match="path 1 needs verifier"):
        parse(EvalConfig, words)
    config = parse(EvalConfig, [*words, "--agent", "[mupa]"])
    assert (config.agent, config.chain.paths, config.chain.candidates) == (["mupa"], [1, 2], 3)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("eval --model runs/a --agent planer", "unknown role `planer`; did you mean `planner`?"),
        ("eval --model runs/a --chain.paths 5", "chain.paths is [5]"),
        ("eval --model runs/a --chain.paths 1", "path 1 needs grounder and verifier; add it to --agent"),
        ("ask runs/a What? --agent mupa", "agent: an agent looks for moments of a video; name one"),
        ("ask runs/a a.mp4 What? --timeline a.png", "timeline: only an agent finds moments to draw"),
        ("ask runs/a a.mp4 What? --options ring", "options has one text; give at least two"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_loaded(words, line, capsys):
    assert main(words.split()) == 2

    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_model_without_the_role_is_named(model, drawn, capsys):
    model.roles = ("grounder", "answerer")

    words = f"eval --model runs/a --task.dataset_root_dir {drawn} --agent grounder,verifier"
    assert main(words.split()) == 2

    assert "agent: runs/a has no verifier; its roles: grounder, answerer" in capsys.readouterr().err
    assert not Path("runs/a/eval").exists()


def test_an_agent_s_answer_is_told_drawn_and_kept(asking, clip, capsys):
    words = ["ask", "runs/a", str(clip), "What is red?", "--agent", "grounder,verifier,answerer"]

    assert main([*words, "--options", "(A) ring,(B) cross"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "(B) cross",
        "    10.0 - 16.0 s  score 0.80",
        "     2.0 - 4.0 s  score 0.30",
        "     6.0 - 7.0 s  score 0.30",
        "picture: clip-timeline.png",
        "record: clip-timeline.json",
    ]
    assert Image.open("clip-timeline.png").size[0] > 1000
    kept = json.loads(Path("clip-timeline.json").read_text())
    assert (kept["answer"], kept["spans"][0]) == ("(B) cross", [10.0, 16.0, 0.8])
    assert kept["record"]["options"] == ["ring", "cross"]
    assert kept["record"]["duration"] == pytest.approx(20.0)
    assert kept["agent"]["roles"] == ["grounder", "verifier", "answerer"]
    [asked] = asking.asked("answerer")
    assert asked.turns[0].text == "What is red?\n(A) ring\n(B) cross\nAnswer with the letter of the right option."


def test_a_question_of_when_needs_no_answer(asking, clip, capsys):
    asking.script["planner"] = Reply('[{"type": "grounder"}, {"type": "verifier"}]')

    assert main(["ask", "runs/a", str(clip), "When?", "--agent", ",".join(CHAIN), "--timeline", "new/t"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("10.0 - 16.0 seconds\n")
    assert said.endswith("picture: new/t.png\nrecord: new/t.json\n")
    assert asking.asked("answerer") == []


def test_a_picture_that_cannot_be_written_does_not_lose_the_answer(asking, clip, capsys):
    Path("file").touch()

    assert main(["ask", "runs/a", str(clip), "What?", "--agent", "grounder", "--timeline", "file/t.png"]) == 2

    said = capsys.readouterr()
    assert said.out.startswith("(B) cross\n")
    assert "file/t.png cannot be written" in said.err


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_an_empty_or_broken_video_is_one_line(asking, tmp_path, content, capsys):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)

    assert main(["ask", "runs/a", str(path), "What?", "--agent", "mupa", "--options", "a,b"]) == 2

    error = capsys.readouterr().err
    assert "broken.mp4" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["(A) ring", "(B) cross"], ["ring", "cross"]),
        (["ring", "cross"], ["ring", "cross"]),
        (["(B) ring", "(A) cross"], ["(B) ring", "(A) cross"]),
        (["(A) ring", "cross"], ["(A) ring", "cross"]),
    ],
)
def test_options_lose_their_letters_if_all_have_the_right_one(given, kept):
    assert AskConfig(Path("runs/a"), question="What?", options=given).options == kept
