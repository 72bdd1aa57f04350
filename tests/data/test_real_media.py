"""Files found in the wild as the rows of a training run: each is decoded, or is one line of the ledger."""

import json
from pathlib import Path

import pytest
from helpers import rows, run_words, train

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "realdata"
PROBE = FOLDER / "videos" / "probe_pyav.json"

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason="needs the shared real files")

NOT_IMAGES = {"truncated.jpg", "multipage_rgb.tif"}


def talk(kind, path):
    conversation = [{"from": "human", "value": f"<{kind}>\nWhat is it?"}, {"from": "gpt", "value": "A test."}]
    return {"id": path.name, kind: f"{path.parent.name}/{path.name}", "conversations": conversation}


@pytest.mark.slow
def test_every_file_is_trained_on_or_is_one_line_of_the_ledger(tmp_path):
    media = [talk(kind, path) for kind in ("video", "image") for path in sorted((FOLDER / f"{kind}s").iterdir())]
    (tmp_path / "rows.json").write_text(json.dumps(media))
    decodable = {row["file"] for row in json.loads(PROBE.read_text()) if row.get("decoded_frames")}
    refused = {row["id"] for row in media if "video" in row} - decodable | NOT_IMAGES
    data = ["--dataset.type", "videollava", "--dataset.align_stage_components", f"[{tmp_path}/rows.json,{FOLDER}]"]
    workers = ["--num_workers", "2", "--decode_deadline_s", "60", "--max_bad_fraction", "1"]

    assert train(run_words(data, tmp_path, "real", *workers, global_batch_size=8, per_device_batch_size=8)) == 0

    ledger = [json.loads(line) for line in (tmp_path / "real" / "bad_samples.jsonl").read_text().splitlines()]
    assert sorted(bad["id"] for bad in ledger) == sorted(refused)
    assert all(media[bad["row"]]["id"] == bad["id"] and bad["id"] in bad["reason"] for bad in ledger)
    assert rows(tmp_path / "real")[-1]["bad_samples"] >= len(refused)
    assert (tmp_path / "real" / "model.safetensors").is_file()
