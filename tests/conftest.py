import json
import multiprocessing
from multiprocessing import forkserver
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("without times", deadline=None)  # machines are busy: no test asserts a time
settings.load_profile("without times")

PRELOAD = ["merv.runs.pretrain", "merv.data.workers", "transformers.models.llama.modeling_llama", "peft"]
PRELOAD += ["helpers", "matplotlib.pyplot"]


def pytest_collection_finish(session):
    """Let the fork server import what training processes need while the first tests run."""
    if any(item.get_closest_marker("dist") for item in session.items) and not session.config.option.collectonly:
        multiprocessing.set_forkserver_preload(PRELOAD)
        forkserver.ensure_running()


@pytest.fixture(scope="session")
def synthetic_data(tmp_path_factory) -> list[str]:
    """Words that name a small drawing of the synthetic dataset: 34 clips, 4 images, 2 texts."""
    from merv.data.datasets import SyntheticConfig

    root = tmp_path_factory.mktemp("synthetic")
    SyntheticConfig(dataset_root_dir=root, num_train=40, num_eval=4).make()
    sizes = ["--dataset.num_train", "40", "--dataset.num_eval", "4"]
    return ["--dataset.type", "synthetic", "--dataset.dataset_root_dir", str(root), *sizes]


@pytest.fixture(scope="session")
def mixed_data(synthetic_data, tmp_path_factory) -> list[str]:
    """Words that name 24 rows, clips, images and texts in turn, as a length-grouped sampler mixes them."""
    media = Path(synthetic_data[3]) / "download" / "synthetic"
    drawn = json.loads((media / "train.json").read_text())
    kinds = [[row for row in drawn if wanted(row)] for wanted in (_is_clip, _is_image, _is_text)]
    rows = [{**kinds[i % 3][i // 3 % len(kinds[i % 3])], "id": f"mixed-{i}"} for i in range(24)]
    return name_rows(rows, media, tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="session")
def apart_data(synthetic_data, tmp_path_factory) -> list[str]:
    """Words that name rows of which two processes draw, in every batch of two, a text and a clip.

    Lengths fall from row to row while texts and clips take turns: the longer of a batch goes to the first process.
    """
    media = Path(synthetic_data[3]) / "download" / "synthetic"
    clips = [row for row in json.loads((media / "train.json").read_text()) if _is_clip(row)]
    rows = []
    for number in range(8):
        question = "word " * (30 - 2 * number)
        rows.append(_talk(f"text-{number}", question + "more"))
        rows.append({**_talk(f"clip-{number}", f"<video>\n{question}"), "video": clips[number]["video"]})
    return [*name_rows(rows, media, tmp_path_factory.mktemp("apart")), "--sampler", "length-grouped"]


def name_rows(rows, media: Path, folder: Path) -> list[str]:
    """Write rows as Video-LLaVA JSON; the words that name them for every stage."""
    file = folder / "rows.json"
    file.write_text(json.dumps(rows))
    words = ["--dataset.type", "videollava"]
    for stage in ("align", "finetune"):
        words += [f"--dataset.{stage}_stage_components", f"[{file},{media}]"]
    return words


def _talk(name, question):
    conversation = [{"from": "human", "value": question}, {"from": "gpt", "value": "yes"}]
    return {"id": name, "conversations": conversation}


def _is_clip(row):
    return "video" in row


def _is_image(row):
    return "image" in row


def _is_text(row):
    return "video" not in row and "image" not in row
