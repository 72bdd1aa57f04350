"""Positions of rows with a video, beside those of transformers and of the recording; marks by hand."""

import json

import pytest
import torch
from safetensors.torch import load_file

from merv.models import collating
from merv.models.qwen2_vl.positions import rope_positions

from ..recorded import SHARED

VIDEO, TEXT, PAD, START, END = 9, 1, 0, 7, 8
MARKS = (START, END)
PROTOCOLS = ["merv", "videomind"]


def row_of(before, grid, behind):
    tokens = grid[0] * grid[1] * grid[2] // 4 if grid else 0
    return [TEXT] * before + [VIDEO] * tokens + [TEXT] * behind


def padded(rows, side):
    width = max(map(len, rows))
    ids = torch.stack([collating.padded(torch.tensor(row), width, PAD, side) for row in rows])
    return ids, ids != PAD


@pytest.fixture(scope="module")
def published():
    """transformers' model without weights: it knows how positions are counted."""
    from transformers import Qwen2VLConfig, Qwen2VLModel

    with torch.device("meta"):
        return Qwen2VLModel(Qwen2VLConfig(text_config={"num_hidden_layers": 0}, vision_config={"depth": 0}))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_positions_are_those_of_transformers(published, side, protocol):
    # Behind a video of more time steps than columns transformers 5 goes on at its last column; 4.45 did not.
    grids = [(2, 4, 6), None, (3, 8, 2), (1, 2, 2)]
    ids, mask = padded([row_of(3, grids[0], 4), row_of(9, None, 0), row_of(1, grids[2], 2), [VIDEO, TEXT]], side)
    expected, deltas = published.get_rope_index(
        ids,
        mm_token_type_ids=2 * (ids == VIDEO).int(),
        video_grid_thw=torch.tensor([grid for grid in grids if grid]),
        attention_mask=mask,
    )

    positions, following = rope_positions(ids, mask, grids, video_id=VIDEO, marks=MARKS, protocol=protocol)

    assert torch.equal(positions, expected)
    # transformers says how far the next position is from the number of tokens.
    assert torch.equal(following, deltas.flatten() + mask.sum(1))


def test_text_behind_a_long_video_goes_on_after_its_last_time_step():
    ids, mask = padded([row_of(2, (5, 2, 2), 2)], "right")

    positions, following = rope_positions(ids, mask, [(5, 2, 2)], video_id=VIDEO, marks=MARKS)

    assert positions[0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert positions[1, 0].tolist() == [0, 1, 2, 2, 2, 2, 2, 7, 8]
    assert following.tolist() == [9]


@pytest.mark.skipif(not SHARED.exists(), reason="recordings of VideoMind are not beside this checkout")
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", ["g_train_T37_reg1", "g_train_T5_reg2", "g_dims256_train_T37_reg1"])
def test_positions_are_the_recorded_ones(case, protocol):
    tensors = load_file(SHARED / f"{case}.safetensors")
    video = json.loads((SHARED / "g_model_config.json").read_text())["video_token_id"]
    [grid] = tensors["in.video_grid_thw"].tolist()

    positions, _ = rope_positions(
        tensors["in.input_ids"],
        tensors["in.attention_mask"].bool(),
        [tuple(grid)],
        video_id=video,
        marks=MARKS,
        protocol=protocol,
    )

    assert torch.equal(positions, tensors["mid.position_ids"])


def marked(protocol, ids=(TEXT, VIDEO, VIDEO, START, VIDEO, VIDEO, END, VIDEO, VIDEO, TEXT, TEXT), grid=(3, 2, 4)):
    ids = torch.tensor([ids])
    positions, following = rope_positions(
        ids, torch.ones_like(ids).bool(), [grid], video_id=VIDEO, marks=MARKS, protocol=protocol
    )
    return positions[:, 0].tolist(), following.item()


def test_merv_gives_a_mark_the_position_of_the_token_behind_it():
    positions, following = marked("merv")

    assert positions == [
        [0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5],
        [0, 1, 1, 1, 1, 1, 1, 1, 1, 4, 5],
        [0, 1, 2, 1, 1, 2, 1, 1, 2, 4, 5],
    ]
    assert following == 6


def test_videomind_spends_the_places_of_the_grid_on_the_marks():
    positions, following = marked("videomind")

    assert positions == [
        [0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7],
        [0, 1, 1, 1, 1, 1, 1, 4, 5, 6, 7],
        [0, 1, 2, 1, 2, 1, 2, 4, 5, 6, 7],
    ]
    assert following == 8


def unmarked(ids, grid):
    positions, following = marked("merv", [token for token in ids if token not in MARKS], grid)
    return positions, following


@pytest.mark.parametrize("steps", [(0, 0), (0, 1), (0, 3), (1, 3), (3, 3), (2, 2)])
def test_merv_gives_other_tokens_the_position_they_have_without_marks(steps):
    grid, video = (3, 2, 4), [VIDEO] * 6
    ids = [TEXT, TEXT, *video[: 2 * steps[0]], START, *video[2 * steps[0] : 2 * steps[1]], END]
    ids += [*video[2 * steps[1] :], TEXT, TEXT]

    positions, following = marked("merv", ids, grid)

    others = [place for place, token in enumerate(ids) if token not in MARKS]
    assert ([[axis[place] for place in others] for axis in positions], following) == unmarked(ids, grid)
    for axis in positions:
        for place in set(range(len(ids))).difference(others):
            assert axis[place] == axis[place + 1]


def test_videomind_counts_all_as_text_where_a_mark_stands_before_the_video():
    # transformers 4.45 looked for a video's token right behind <|vision_start|>, and found the mark.
    ids = [TEXT, TEXT, START, VIDEO, VIDEO, END, VIDEO, VIDEO, TEXT]

    positions, following = marked("videomind", ids, (2, 4, 2))

    assert positions == [list(range(9))] * 3
    assert following == 9


def test_videomind_counts_a_mark_behind_the_video_as_text():
    positions, following = marked("videomind", [TEXT, VIDEO, START, VIDEO, END, TEXT], (2, 2, 2))

    assert positions == [[0, 1, 2, 3, 4, 5], [0, 1, 1, 3, 4, 5], [0, 1, 1, 3, 4, 5]]
    assert following == 6


def test_an_empty_row_has_no_positions():
    ids = torch.zeros(1, 3, dtype=torch.int64)

    positions, following = rope_positions(
        ids, torch.zeros(1, 3, dtype=torch.bool), [None], video_id=VIDEO, marks=MARKS
    )

    assert not positions.any()
    assert following.tolist() == [0]


def test_a_grid_of_another_size_than_the_row_is_our_mistake():
    with pytest.raises(AssertionError, match="6 visual tokens in a row, its grid has 4"):
        marked("merv", grid=(2, 2, 4))
