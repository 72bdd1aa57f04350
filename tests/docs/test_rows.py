"""Rows that docs/add_a_dataset.md shows are rows the datasets read."""

import json
import re

import pytest
from data.role_layout import write, write_layout

from docs.reading import ROOT, blocks
from merv.data.datasets import DatasetConfig

PAGE = ROOT / "docs" / "add_a_dataset.md"
ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\| `(\{.*\})` \|$", PAGE.read_text(), re.MULTILINE))
"""Rows of the tables by the name of their set, but for pickles."""


def test_the_page_shows_a_row_of_each_set_kept_as_json():
    named = {"qvhighlights", "tacos", "didemo", "cosmo_cap", "internvid_vtime", "hirest_grounding", "hirest_step"}

    assert set(ROWS) == {*named, "verifying", "planning"}


@pytest.mark.parametrize("name", ROWS)
def test_the_row_shown_of_a_set_is_read(tmp_path, name):
    row = json.loads(ROWS[name])
    config = DatasetConfig.get(name)(dataset_root_dir=write_layout(tmp_path))
    path = config.files()[0]
    write(path, row if path.suffix == ".jsonl" or name.startswith("hirest") else [row])
    write(tmp_path / "didemo" / "durations.json", {"abc": 30})

    source = config.load("finetune")

    assert len(source) > 0
    assert not source.bad_rows


def test_the_three_forms_of_questions_are_read(tmp_path):
    [shown] = [block.text for block in blocks(PAGE) if '"qa_base"' in block.text]
    rows = [json.loads(text) for text in re.split(r"\n(?=\{)", shown.strip())]
    root = write_layout(tmp_path)
    write(root / "deve_qa" / "DeVE-QA_train.json", rows)
    write(root / "deve_qa" / "durations.json", {"abc": 30})

    source = DatasetConfig.get("deve-qa")(dataset_root_dir=root).load("finetune")

    assert (len(rows), len(source), source.bad_rows) == (3, 3, [])
    assert all("a dog" in source[place].turns[-1].text for place in range(3))
