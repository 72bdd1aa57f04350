"""What a user gets wrong is one line on stderr and exit status 2, and nothing that stood before is lost."""

import json
import shutil
from pathlib import Path

import pytest
from helpers import course, run_words

from merv.conf import files
from merv.runs.cli import main
from merv.runs.pretrain_config import PretrainConfig

TINY = ("train", "--model.type", "merv-tiny", "--stage", "align")
ALONE = ("--model.align.train_strategy", "single", "--num_workers", "0")
MCQ = ("eval", "--task.type", "synthetic-mcq")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(words, capsys) -> str:
    """Run a command that must be refused; its one line, without the name of the program."""
    assert main(list(words)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if " WARNING " not in line and " INFO " not in line]
    assert len(lines) == 1, lines
    return lines[0].partition(": error: ")[2]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["trian"],
            "unknown command `trian`; did you mean `train`? commands: ask, compare, data, demo, ",
        ),
        (["train", "--lora_rank", "8"], "did you mean `--model.align.lora.rank` or `--model.full_align.lora.rank` or"),
        (["train", "--modle.type", "x"], "there is no option `--modle"),
        (["train", "--model.typ", "merv-tiny"], "did you mean `--model.type`?"),
        (["train", "--model.type", "merv-tny"], "`model.type` is `merv-tny`; did you mean `merv-tiny` or `vlm-tiny`?"),
        (["train", "--dataset.type", "sintetic"], "`dataset.type` is `sintetic`; did you mean `synthetic`"),
        (["train", "--stage", "algn"], "`stage` is `algn`; did you mean `align`?"),
        (["train", "--seed", "7.5"], "`seed` is `7.5`; expected int"),
        (["train", "--run_id"], "`--run_id` needs a value: text"),
        (["train", "--run_id", "a/b"], "run_id is `a/b`; it names a folder"),
        (["train", "--run_id", ".."], "run_id is `..`"),
        ([*TINY, "--model.num_frames", "[4,8]"], "names 3 encoders, num_frames has 2 numbers"),
        ([*TINY, "--model.num_frames", "4,8,x"], "`model.num_frames.2` is `x`; expected int"),
        ([*TINY, "--model.projector_token_length", "5"], "16 is not a multiple of projector_token_length 5"),
        ([*TINY, "--model.align.global_batch_size", "0"], "global_batch_size is 0; it must be at least 1"),
        ([*TINY, "--model.align.per_device_batch_size", "5"], "not a multiple of per_device_batch_size 5 x 1"),
        ([*TINY, "--model.align.train_strategy", "ddpp"], "unknown strategy `ddpp`; did you mean `ddp`?"),
        ([*TINY, "--trackers", "jsonl,tensorbord"], "unknown tracker `tensorbord`; did you mean `tensorboard`?"),
        ([*TINY, "--save_checkpoint_after", "0"], "save_checkpoint_after is 0; it must be at least 1"),
        ([*TINY, "--keep_last", "0"], "keep_last is 0; it must be at least 1"),
        ([*TINY, "--num_workers", "-1"], "num_workers is -1"),
        ([*TINY, "--decode_deadline_s", "0"], "decode_deadline_s is 0; it must be above 0 seconds"),
        ([*TINY, "--max_bad_fraction", "2"], "max_bad_fraction is 2; it is a share of the rows, 0..1"),
        ([*TINY, "--dataset.type", "mixture"], "mixture: datasets is empty"),
        (["train", "--config_path", "no.yaml"], "config file `no.yaml` cannot be read: No such file"),
        (["train", "--config_path", "."], "config file `.` cannot be read: Is a directory"),
        (["train", "--plugins", "not_there"], "plugin `not_there` cannot be imported"),
        (["eval"], "a value is missing: give --model <path>"),
        (["eval", "--model", "runs/x", "--num_workers", "-2"], "num_workers -2 must be at least 0"),
        (["eval", "--model", "runs/x", "--task.type", "synthetic"], "did you mean `synthetic-mcq`"),
        ([*MCQ, "--model", "."], "question list data/download/synthetic/eval.json is missing"),
        (["eval", "--model", ".", "--task.type", "mcq"], "question list questions.json is missing"),
        (["ask"], "a value is missing: give --model <path>"),
        (["ask", "runs/x"], "question is empty; ask one: "),
        (["ask", "runs/x", "clip.mp4"], "question is empty; ask one: "),
        (["ask", "runs/x", "clip.mp4", "What", "is", "it"], "`is` is one word too many; quote the question"),
        (["ask", "runs/x", "What?"], "there is no folder runs/x; name one of a finished run"),
        (["ask", ".", "What?"], ". is no run: it has neither config.yaml and model.safetensors nor config.json"),
        (["ask", "runs/x", "clip.mp4", "What?"], "video `clip.mp4` does not exist; check the path"),
        (["list"], "found 0 kinds; name one: merv list models|"),
        (["list", "strategy"], "unknown kind `strategy`; did you mean `strategies`?"),
        (["list", "models", "--wrong"], "there is no option `--wrong`"),
        (["list", "models", "--plugins"], "`--plugins` needs a value"),
        (["list", "models", "--plugins", "not_there"], "plugin `not_there` cannot be imported"),
        (["doctor", "more"], "found `more`; it takes no options"),
        (["demo", "--num_train", "0"], "num_train is 0; it must be at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_words_is_one_line_and_leaves_nothing(words, line, capsys, tmp_path):
    assert line in refused(words, capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: [1\n", "line 2, column 1"),
        ("seed: abc\n", "`seed` is `abc`; expected int"),
        ("- a\n", "holds a list; expected `key: value` lines"),
        ("sed: 3\n", "there is no key `sed`; did you mean `seed`?"),
        ("seed: 1\nseed: 2\n", "key `seed` stands twice"),
        ("stage: false\n", "`stage` is `false`; expected align"),
        ("model: {type: merv-tinny}\n", "did you mean `merv-tiny` or `vlm-tiny`?"),
        ("\0", "run.yaml"),
    ],
)
def test_a_broken_config_file_is_named_with_the_place(text, line, capsys, tmp_path):
    (tmp_path / "run.yaml").write_text(text)

    told = refused(["train", "--config_path", "run.yaml"], capsys)

    assert "run.yaml" in told
    assert line in told


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model.projector_token_length", "5", "--model.visual_feature_length", "20"], "to 5 tokens a frame"),
        (["--model.projector_token_length", "1", "--model.visual_feature_length", "16"], "to 16 frames; set"),
        (["--model.projector.type", "mlp"], "the encoders give [256, 128, 256] tokens, but they have to agree"),
        (["--model.video_backbone_ids", "tiny-frame,tiny-coarse,tiny-motion"], "did you mean `tiny-frames` or"),
        (["--model.llm_backbone_id", "tiny-lama"], "unknown LLM backbone `tiny-lama`; did you mean `tiny-llama`?"),
        (["--model.llm_max_length", "16"], "llm_max_length is 16, of which 16 are visual tokens"),
        (["--model.align.lora.rank", "4"], "lora.rank is 4, but stage align does not train the llm"),
        (
            ["--pretrained_checkpoint", "no"],
            "pretrained_checkpoint: there is no no/model.safetensors nor no/",
        ),
        (["--dataset.num_train", "41"], "was drawn with num_train 40 (wanted 41); delete it to draw again"),
    ],
)
def test_sizes_and_names_that_do_not_fit_are_one_line(words, line, synthetic_data, capsys, tmp_path):
    assert line in refused([*TINY, *synthetic_data, "--run_id", "x", *ALONE, *words], capsys)
    assert not (tmp_path / "runs" / "x" / "config.yaml").exists()


def test_a_missing_dataset_is_one_line_and_the_expected_tree_below(capsys):
    assert main([*TINY, "--dataset.type", "videollava"]) == 2

    first, *tree = capsys.readouterr().err.splitlines()
    assert first.startswith(
        "merv train: error: annotation file data/download/videollava/valley_llavaimage.json is mis"
    )
    assert tree[:2] == ["data/download/videollava", "├── valley_llavaimage.json"]
    assert tree[-1] == "    └── ..."


def talk(**row):
    return {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "me"}], **row}


def list_words(tmp_path, rows, *more, **options):
    """The words of a run on a list of rows, whose media stand in `media`."""
    (tmp_path / "media").mkdir()
    (tmp_path / "rows.json").write_text(rows if isinstance(rows, str) else json.dumps(rows))
    data = ["--dataset.type", "videollava", "--dataset.align_stage_components", f"[{tmp_path}/rows.json,media]"]
    data += ["--dataset.dataset_root_dir", str(tmp_path)]
    return ["train", *run_words(data, tmp_path / "runs", "x", *more, **options)]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ({"id": 1}, 'rows.json holds dict {"id": 1}; expected a list of rows'),
        ([], "rows.json holds no rows"),
        ('[{"id": 1},\n {"id": 2,}]', "rows.json is not JSON: "),
        (
            "[1, null]",
            "none of its rows can be used; 0 samples of 2 rows; bad: 2, the first, row 0: found int 1",
        ),
        ([{"id": 5, "conversations": "hello"}], 'field conversations: found str "hello"; expected a list of messages'),
        ([{"id": 5, "conversations": [{"from": "bot", "value": ""}]}], "conversations[0].from: found 'bot'; expected"),
        ([talk(video=3)], "field video: found int 3; expected a path or a list of paths"),
        ([talk(image="../secret.png")], "field image: '../secret.png' leads out of {}/media"),
    ],
)
def test_a_list_of_another_shape_names_row_field_and_what_was_found(rows, line, capsys, tmp_path):
    assert line.replace("{}", str(tmp_path)) in refused(list_words(tmp_path, rows), capsys)


def test_a_row_that_leaves_the_root_is_recorded_and_the_others_are_trained_on(tmp_path):
    rows = [talk(id="out", video="../../etc/passwd"), *(talk(id=i) for i in range(4))]

    assert main(list_words(tmp_path, rows)) == 0

    [line] = (tmp_path / "runs/x/bad_samples.jsonl").read_text().splitlines()
    bad = json.loads(line)
    assert (bad["row"], bad["id"]) == (0, "out")
    assert "leads out of" in bad["reason"]
    assert len(course(tmp_path / "runs/x")) == 1


@pytest.mark.parametrize("where", ["reader", "decoder"])
def test_too_many_bad_rows_stop_the_run_in_one_line(where, tmp_path, capsys):
    wrong = {"video": 3} if where == "reader" else {"video": "no.mp4"}
    rows = [talk(id=i, **(wrong if i % 10 == 0 else {})) for i in range(400)]
    sizes = {"global_batch_size": 200, "per_device_batch_size": 200}

    told = refused(list_words(tmp_path, rows, **sizes), capsys)

    assert "rows are bad, more than max_bad_fraction 0.01 allows; the last one is videollava row " in told
    assert told.endswith("bad_samples.jsonl")
    assert (tmp_path / "runs/x/bad_samples.jsonl").is_file()


def test_the_first_bad_row_ends_a_run_that_is_to_raise(tmp_path, capsys):
    words = list_words(tmp_path, [talk(id=i, video="no.mp4") for i in range(4)], "--bad_samples", "raise")

    assert "no.mp4` does not exist" in refused(words, capsys)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seed", "8"], "is of another model: seed is 7 there, 8 here"),
        (["--model.fusion.embed_dim", "32"], "is of another model: model.fusion.embed_dim is "),
        (["--resume", "never"], "has checkpoints and --resume is never; choose another --run_id"),
    ],
)
def test_a_refused_command_leaves_the_run_of_that_name_as_it_was(
    words, line, trained_run, synthetic_data, tmp_path, capsys
):
    run = shutil.copytree(trained_run, tmp_path / "007")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    assert line in refused(["train", *run_words(synthetic_data, tmp_path, "007", *words, max_steps=3)], capsys)

    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_an_unfinished_or_foreign_run_cannot_be_asked(trained_run, tmp_path, capsys):
    (tmp_path / "half").mkdir()
    shutil.copy(trained_run / "config.yaml", tmp_path / "half")
    foreign = shutil.copytree(trained_run, tmp_path / "foreign")
    config = files.load(PretrainConfig, foreign / "config.yaml")
    config.model.llm_options["hidden_size"] = 2 * config.model.llm_options.get("hidden_size", 128)
    files.save(config, foreign / "config.yaml")

    assert "half has no model.safetensors: the run has not finished" in refused(["ask", "half", "Who?"], capsys)
    assert "model.safetensors is of another model" in refused(["ask", "foreign", "Who?"], capsys)
    (foreign / "model.safetensors").write_bytes(b"torn")
    shutil.copy(trained_run / "config.yaml", foreign)
    assert "model.safetensors cannot be read" in refused(["ask", "foreign", "Who?"], capsys)


def test_a_video_that_cannot_be_read_is_one_line(trained_run, tmp_path, capsys):
    (tmp_path / "clip.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()

    assert "video `clip.mp4`" in refused(["ask", str(trained_run), "clip.mp4", "Who?"], capsys)
    assert "folder `empty` holds no images" in refused(["ask", str(trained_run), "empty", "Who?"], capsys)
    assert "image `clip.mp4`" in refused(["ask", str(trained_run), "Who?", "--image", "clip.mp4"], capsys)


def test_answers_of_another_evaluation_are_not_overwritten(trained_run, synthetic_data, tmp_path, capsys):
    data = ["--task.dataset_root_dir", synthetic_data[3]]
    words = [*MCQ, *data, "--model", str(trained_run), "--num_workers", "0", "--out_dir", "out"]
    assert main([*words, "--max_new_tokens", "1"]) == 0
    capsys.readouterr()
    before = Path("out/predictions.jsonl").read_bytes()

    assert "holds answers of another model, task, prompt or media" in refused(
        [*words, "--max_new_tokens", "2"], capsys
    )

    assert Path("out/predictions.jsonl").read_bytes() == before


def test_a_full_disk_is_one_line(synthetic_data, tmp_path, monkeypatch, capsys):
    def full(self, text, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)

    assert refused(["train", *run_words(synthetic_data, tmp_path, "x")], capsys).startswith("No space left on device")
