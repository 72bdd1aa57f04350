"""Runs of the original, loaded as a user would: its folder, and small encoders and LLM in their published layouts."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from backbones.llm_folder import save_llm
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

import merv
from merv.chat import Turn
from merv.data.sample import Batch, Sample
from merv.video.decode import Clip
from merv.video.media import MediaRef

GOLDEN = Path(__file__).parents[1] / "golden"
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
CASES = ["lq", "lq_mixed", "concat", "concat_channel", "single"]
SIZES = {"lb": 224, "dino": 56, "hiera": 64, "siglip": 64}
NAMES = {"lb": "languagebind", "dino": "dinov2", "hiera": "hiera", "siglip": "siglip"}
# 5e-5 on logits of about 10 and 2e-5 on the loss: what another order of float32 sums makes of them.
LOGITS, LOSS = 5e-5, 2e-5

pytestmark = pytest.mark.skipif(
    not SHARED.exists(), reason="recorded runs of the original are not beside this checkout"
)


def facts_of(case):
    return json.loads((SHARED / f"c_merv_{case}.json").read_text())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of the small encoders in the layouts their publishers use."""
    root = tmp_path_factory.mktemp("encoders")
    spec = facts_of("lq")["constructor_args"]["spec"]
    configs = {
        "lb": {"vision_config": spec["lb"]},
        "dino": timm("vit_large_patch14_reg4_dinov2", spec, img_size=56),
        "hiera": spec["hiera"],
        "siglip": timm("vit_base_patch16_siglip_224", spec, img_size=64),
    }
    tensors = load_file(SHARED / "c_encoders.safetensors")
    for name, config in configs.items():
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(config))
        prefix = "vision_model." if name == "lb" else ""
        own = {
            prefix + k.removeprefix(f"param.{name}."): t for k, t in tensors.items() if k.startswith(f"param.{name}.")
        }
        if name == "dino":
            save_file(own, root / name / "model.safetensors")
        else:
            torch.save({"model_state": own} if name == "hiera" else own, root / name / "pytorch_model.bin")
    return root


def timm(architecture, spec, **model_args):
    return {"architecture": architecture, "model_args": {**spec["timm"][architecture], **model_args}}


def load(case, folders, tmp_path, **options):
    llm = tmp_path / "llm"
    llm.mkdir(exist_ok=True)
    shutil.copy(SHARED / f"c_merv_{case}_run" / "llm" / "config.json", llm)
    for file in (GOLDEN / "tokenizers" / "llama_tiny").iterdir():
        shutil.copy(file, llm)
    encoders = facts_of(case)["encoders"]
    paths = {NAMES[name]: folders / name for name in encoders}
    options = {"llm_path": llm, "video_backbone_paths": paths, **options}
    return merv.load(SHARED / f"c_merv_{case}_run", device="cpu", **options)


def recorded_batch(model, tensors, facts, prefix=""):
    """The recorded inputs; each encoder finds its own frames under the name of its view."""
    rows = tensors[f"in.{prefix}multimodal_indices"].long()
    frames = {}
    for index, name in enumerate(facts["encoders"] if len(rows) else []):
        backbone = model.video_backbones[index]
        backbone.transform = dataclasses.replace(backbone.transform, mean=(0.5,) * 3, std=(0.5,) * 3)
        shown = tensors[f"in.video_{index}_u8"][rows].repeat_interleave(model.max_frames // backbone.num_frames, dim=1)
        enlarged = torch.nn.functional.interpolate(
            shown.flatten(0, 1).float(), size=(SIZES[name],) * 2, mode="nearest"
        )
        frames[backbone.transform.view.name] = enlarged.to(torch.uint8)
    return Batch(
        input_ids=tensors[f"in.{prefix}input_ids"],
        labels=tensors[f"in.{prefix}labels"],
        attention_mask=tensors[f"in.{prefix}attention_mask"].bool(),
        visual_rows=rows,
        num_frames=(model.max_frames,) * len(rows),
        frames=frames,
    )


@torch.no_grad()
def compare(model, case, prefix=""):
    tensors, facts = load_file(SHARED / f"c_merv_{case}.safetensors"), facts_of(case)
    batch = recorded_batch(model, tensors, facts, prefix)

    spliced = model.splice(batch)
    logits = model.llm.logits(model.llm(spliced.embeds, None))
    output = model(batch)

    # The original puts rows with frames first; ours stay where they were.
    rows = batch.visual_rows.tolist()
    order = [*rows, *(row for row in range(batch.size) if row not in rows)]
    attended = tensors[f"out.{prefix}fused_attention_mask"].bool()
    found = logits[order, : attended.shape[1]]
    assert_close(found[attended], tensors[f"out.{prefix}logits"][attended], atol=LOGITS, rtol=0)
    assert_close((output.loss_sum / output.num_tokens)[None], tensors[f"out.{prefix}loss"], atol=LOSS, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_frames_to_logits_and_loss_are_the_recorded_ones(case, folders, tmp_path):
    compare(load(case, folders, tmp_path), case)


def test_text_alone_gives_the_recorded_logits_and_loss(folders, tmp_path):
    compare(load("lq_mixed", folders, tmp_path), "lq_mixed", prefix="textonly.")


@pytest.mark.parametrize("case", ["lq_mixed", "single"])
def test_greedy_answers_are_the_recorded_ones(case, folders, tmp_path, monkeypatch):
    model = load(case, folders, tmp_path)
    tensors, facts = load_file(SHARED / f"c_merv_{case}.safetensors"), facts_of(case)
    clip = Clip(tensors["in.gen_clip_u8"], times=tuple(range(8)), duration=8.0)
    monkeypatch.setattr("merv.video.decode.read_clip", lambda ref, num_frames: clip)
    sample = Sample("a", (Turn("user", "What is the man doing?"),), (MediaRef(tmp_path / "a.mp4"),))
    batch = model.processor.collate([model.processor.prepare(sample, answer=False)], pad="left")
    spliced = model.splice(batch, pad="left")

    ids = model.llm.generate(
        spliced.embeds, spliced.attention_mask, max_new_tokens=facts["generate"]["max_new_tokens"]
    )

    prompt = batch.input_ids.shape[1]
    assert batch.input_ids[0].tolist() == tensors["out.gen_ids"][0, :prompt].tolist()
    assert ids[0].tolist() == tensors["out.gen_ids"][0, prompt:].tolist()


def test_a_run_of_the_align_stage_gets_the_llm_its_publisher_gives(folders, tmp_path):
    run, llm = shutil.copytree(SHARED / "c_merv_lq_run", tmp_path / "align"), tmp_path / "llm"
    file = run / "checkpoints" / "latest-checkpoint.pt"
    found = torch.load(file, weights_only=True)
    del found["model"]["llm_backbone"]
    torch.save(found, file)
    base = save_llm(llm, hidden_size=64)
    paths = {NAMES[name]: folders / name for name in facts_of("lq")["encoders"]}

    model = merv.load(run, device="cpu", llm_path=llm, video_backbone_paths=paths)

    own = model.llm.model.get_decoder().layers[0].self_attn.q_proj.weight
    assert_close(own, base.model.layers[0].self_attn.q_proj.weight, atol=0, rtol=0)
    assert_close(
        model.projectors.state_dict(), {k: t.float() for k, t in found["model"]["projectors"].items()}, atol=0, rtol=0
    )
