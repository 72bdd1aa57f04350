import json
import shutil

import pytest
import torch
from helpers import train
from peft import LoraConfig, get_peft_model
from tiny_vlms import tiny_vlm
from torch.testing import assert_close
from transformers import AutoModelForImageTextToText

import merv
from merv.conf import files
from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError
from merv.evaluation.task import TaskConfig
from merv.models.hf_vlm.config import HfVlmConfig
from merv.runs.evaluate import EvalConfig, run
from merv.runs.load import paths_of
from merv.runs.load_vlm import is_hub_name
from merv.runs.pretrain_config import PretrainConfig

IDS = torch.tensor([[5, 9, 300, 310, 17]])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_vlm("qwen2.5-vl", tmp_path_factory.mktemp("base") / "qwen")


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """What somebody else's peft left: no word about the base but its path."""
    torch.manual_seed(0)
    plain = AutoModelForImageTextToText.from_pretrained(base)
    worn = get_peft_model(plain, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    folder = tmp_path_factory.mktemp("adapter")
    worn.save_pretrained(folder)
    return folder, worn.eval()(input_ids=IDS).logits.detach()


@pytest.fixture(scope="module")
def adapter_run(base, synthetic_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    options = {"max_steps": 2, "global_batch_size": 2, "per_device_batch_size": 2, "lora.rank": 2}
    options |= {"train_strategy": "single", "learning_rate": 1e-2}
    line = ["--model.type", "hf-vlm", "--model.path", str(base), "--model.dtype", "float32", *synthetic_data]
    line += ["--model.num_frames", "2", "--run_id", "a", "--run_root_dir", str(root), "--num_workers", "0"]
    line += [word for key, value in options.items() for word in (f"--model.finetune.{key}", str(value))]
    train([*line, "--trackers", "jsonl"])
    return root / "a"


def test_any_folder_transformers_opens_is_a_model(base):
    model = merv.load(base)

    plain = AutoModelForImageTextToText.from_pretrained(base).eval()
    assert_close(model.model(input_ids=IDS).logits, plain(input_ids=IDS).logits)


def test_a_plain_peft_adapter_is_put_onto_the_base_it_names(adapter):
    folder, logits = adapter

    assert_close(merv.load(folder).model(input_ids=IDS).logits, logits, rtol=1e-4, atol=1e-4)


def test_an_adapter_may_be_named_beside_its_base(base, adapter):
    folder, logits = adapter

    assert_close(merv.load(base, adapter=folder).model(input_ids=IDS).logits, logits, rtol=1e-4, atol=1e-4)


def test_the_base_of_an_adapter_may_be_named_as_path(base, adapter, tmp_path):
    folder, _ = adapter
    moved = shutil.copytree(base, tmp_path / "moved")

    assert merv.load(folder, path=str(moved)).base == moved


def test_options_of_a_command_reach_the_model(adapter_run):
    words = ["--model", str(adapter_run), "--model_options.num_frames", "3", "--model_options.path", "a/b"]

    assert paths_of(parse(EvalConfig, words)) == {"num_frames": 3, "path": "a/b"}
    assert merv.load(adapter_run, num_frames=3).processor.look.num_frames == 3


def test_a_run_that_began_with_random_weights_is_loaded_with_what_it_left(base, tmp_path):
    run = shutil.copytree(base, tmp_path / "run")
    config = PretrainConfig(model=HfVlmConfig(path=str(base), init="random", dtype="float32"))
    files.save(config, run / "config.yaml")

    plain = AutoModelForImageTextToText.from_pretrained(base).eval()
    assert_close(merv.load(run).model(input_ids=IDS).logits, plain(input_ids=IDS).logits)


def test_an_adapter_of_another_base_is_refused_in_one_line(adapter_run, tmp_path):
    other = tiny_vlm("qwen2.5-vl", tmp_path / "other", seed=8)

    with pytest.raises((CheckpointError, ConfigError), match=r"was trained on .*, not on .*other"):
        merv.load(other, adapter=adapter_run)


def test_a_model_that_is_no_hf_vlm_takes_no_adapter(adapter_run):
    with pytest.raises(ConfigError, match="is an adapter already; name its base"):
        merv.load(adapter_run, adapter=adapter_run)


@pytest.mark.parametrize(
    ("name", "told"),
    [("Qwen/Qwen2.5-VL-7B-Instruct", True), ("runs/mine", False), ("./a", False), ("a/b/c", False), ("name", False)],
)
def test_names_of_the_hub_are_told_from_runs_that_are_not_there(name, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert is_hub_name(name) is told


def test_a_name_whose_folder_is_here_is_a_run_that_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()

    assert not is_hub_name("mine/run")
    (tmp_path / "runs").mkdir()
    (tmp_path / "model_zoo" / "run").mkdir(parents=True)
    assert is_hub_name("mine/run")  # a folder of the owner's name is in the way
    assert not is_hub_name("runs/run")
    (tmp_path / "model_zoo" / "run").rmdir()
    with pytest.raises(CheckpointError, match="there is no folder mine/run"):
        merv.load("mine/run")


@pytest.fixture(scope="module")
def nextqa(synthetic_data, tmp_path_factory):
    """A list in NExT-QA's shape about clips that were drawn."""
    from pathlib import Path

    clips = Path(synthetic_data[3]) / "download" / "synthetic" / "videos"
    root = tmp_path_factory.mktemp("nextqa")
    names = sorted(path.stem for path in clips.glob("*.mp4"))[:4]
    header = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4"
    rows = [
        f"{name},8,64,64,what shape is it,{i},{i},CW,ring,cross,square,star,circle" for i, name in enumerate(names)
    ]
    (root / "val.csv").write_text("\n".join([header, *rows]) + "\n")
    (root / "map_vid_vidorID.json").write_text(json.dumps({name: name for name in names}))
    return ["--task.type", "nextqa-mc", "--task.annotations", str(root / "val.csv"), "--task.media_root", str(clips)]


def test_nextqa_takes_a_base_and_an_adapter(base, adapter_run, nextqa, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = [*nextqa, "--num_workers", "0", "--max_new_tokens", "3"]

    for out, words in (
        ("base", ["--model", str(base), "--model_options.num_frames", "2"]),
        ("both", ["--model", str(base), "--adapter", str(adapter_run)]),
        ("run", ["--model", str(adapter_run)]),
    ):
        assert run(parse(EvalConfig, [*words, *common, "--out_dir", str(tmp_path / out)])) == 0

    cards = {out: json.loads((tmp_path / out / "card.json").read_text()) for out in ("base", "both", "run")}
    said = {out: (tmp_path / out / "predictions.jsonl").read_text() for out in cards}
    assert said["both"] == said["run"]
    assert cards["both"]["model"]["adapter_sha256"] == cards["run"]["model"]["adapter_sha256"]
    assert cards["base"]["model"]["weights_sha256"] != cards["both"]["model"]["weights_sha256"]
    assert cards["both"]["model"]["base_fingerprint"] == cards["base"]["model"]["base_fingerprint"]
    assert cards["base"]["model"]["options"] == {"num_frames": 2}
    with pytest.raises(ConfigError, match="holds answers of"):
        run(parse(EvalConfig, ["--model", str(base), *common, "--out_dir", str(tmp_path / "base")]))


def test_nextqa_is_registered():
    assert "nextqa-mc" in TaskConfig.available()
