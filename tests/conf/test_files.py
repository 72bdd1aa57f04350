import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from conf_shapes import HfVlm, Lora, Model, MultiEncoder, Precision, Run, Stage, Synthetic, Texts, VideoLlava
from hypothesis import example, given, settings
from hypothesis import strategies as st

from merv.conf.files import dump, load, save
from merv.conf.parse import parse
from merv.errors import ConfigError

plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("configs") / "config.yaml"


def reloaded(config, path):
    save(config, path)
    return load(type(config), path)


@pytest.mark.parametrize("name", Model.available())
def test_every_registered_model_reads_back_equal(name, path):
    config = Run(model=Model.get(name)(model_id="007"))

    assert reloaded(config, path) == config
    assert parse(Run, ["--config_path", str(path)]) == config


def test_a_config_with_everything_changed_reads_back_equal(path):
    config = Run(
        run_id="null",
        model=MultiEncoder(
            finetune=Stage(epochs=3, max_steps=5, learning_rate=1e-9, lora=Lora(rank=4)),
            video_backbone_ids=["true", "1e-5", ""],
            backbone_options={"vit": {"a": None, "b": "no", "c": [1, "1", 1.5, "1.5"], "d": {}}},
        ),
        dataset=VideoLlava(finetune_stage_components=("a: b", "# c")),
        stage="full-align",
        plan=True,
        resume_from=Path("a/b"),
        notes="",
        precision=Precision.FULL,
        trackers=[],
        frames=[1, 2],
        pause=0.5,
        teacher=HfVlm(size_px=1),
        extra={"x": "0x10"},
        mixture=[Synthetic(num_samples=1), VideoLlava(weight=0.0)],
        encoders={},
    )

    assert reloaded(config, path) == config
    assert parse(Run, ["--config_path", str(path)]) == config


TRICKY = [
    "007",
    "1_0",
    "true",
    "null",
    "~",
    "",
    "include x",
    "a: b",
    "[a",
    "1e-5",
    "1:30",
    "yes",
    "=",
    "<<",
    "\x85\ufeff",
]


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_text_goes_from_command_line_to_yaml_and_back(text, path):
    config = parse(Texts, [f"--text={text}", f"--many=['{text}']", f"--by_name.k={text}"] if text != "null" else [])
    config.either = config.maybe = config.lists = config.anything = text

    assert reloaded(config, path) == config


@given(text=st.text())
@example(text="\x85")
@example(text="a\u2028b")
@settings(max_examples=100, deadline=None)
def test_any_text_goes_from_command_line_to_yaml_and_back(text, path):
    config = parse(Texts, [f"--text={text}"])

    assert config.text == text
    assert reloaded(config, path) == config


@given(anything=plain_data)
@settings(max_examples=100, deadline=None)
def test_any_data_in_an_open_field_reads_back_equal(anything, path):
    assert reloaded(Texts(anything=anything, many=[str(anything)]), path) == Texts(
        anything=anything, many=[str(anything)]
    )


@given(number=st.floats(allow_nan=False), whole=st.integers())
@settings(max_examples=50, deadline=None)
def test_any_number_reads_back_equal(number, whole, path):
    config = Run(seed=whole, pause=number)

    assert reloaded(config, path) == config


def test_other_readers_of_yaml_see_the_same_types():
    data = yaml.safe_load(dump(Texts(text="007", many=["no", "1e-5"], anything={"on": 1e-5})))

    assert (data["text"], data["many"], data["anything"]) == ("007", ["no", "1e-5"], {"on": 1e-5})


@dataclass
class Collected:
    names: set[str] = field(default_factory=set)
    pairs: tuple[tuple[int, str], ...] = ()
    by_number: dict[int, Path] = field(default_factory=dict)
    levels: list[Literal[1, "high"]] = field(default_factory=list)
    whole: int = field(default=3, init=False)
    tags: dict[str, Any] = field(default_factory=lambda: {"kept": 1, "dropped": 2})


def test_collections_keep_their_types(path):
    config = Collected({"b", "a"}, ((1, "2"), (3, "4")), {7: Path("x")}, [1, "high"], {"kept": None})

    assert reloaded(config, path) == config


def test_json_is_read_without_guessing_too(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"text": "007", "either": 5, "maybe": None, "many": ["\U0001f600"]}))

    assert load(Texts, tmp_path / "a.json") == Texts(text="007", either=5, many=["\U0001f600"])


def test_a_file_may_be_partial_flat_and_unquoted(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "run_id: 007\n"
        "run-root-dir: out\n"
        "model:\n"
        "  finetune_learning_rate: 1e-5\n"
        "  full_finetune_epochs: 2\n"
        "  finetune: {lora: {alpha: 1}}\n"
        "notes: null\n"
        "trackers: [007, no]\n"
    )

    config = load(Run, tmp_path / "a.yaml")

    expected = Run(run_id="007", run_root_dir=Path("out"), trackers=["007", "no"])
    expected.model.finetune = Stage(per_device_batch_size=4, learning_rate=1e-5, lora=Lora(99, 1.0))
    expected.model.full_finetune = Stage(epochs=2)
    assert config == expected


def test_an_empty_file_gives_the_defaults(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing\n")

    assert load(Run, tmp_path / "a.yaml") == Run()


def test_merge_keys_of_yaml_work(tmp_path):
    (tmp_path / "a.yaml").write_text("model:\n  align: &a {epochs: 2}\n  finetune: {<<: *a, max_steps: 3}\n")

    assert load(Run, tmp_path / "a.yaml").model.finetune.epochs == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "model: {nmu_frames: [1]}",
            r"a\.yaml: there is no key `model.nmu_frames`; did you mean `model.num_frames`\?",
        ),
        ("seed: fast", r"a\.yaml: `seed` is `fast`; expected int"),
        ("seed: [1", r"config file `.*a\.yaml`: line 1, column 9: expected"),
        ("seed: 1\nseed: 2", r"a\.yaml`: line 2, column 1: key `seed` stands twice"),
        (
            "a: !include b.yaml",
            r"a\.yaml`: line 1, column 4: could not determine a constructor for the tag '!include'",
        ),
        ("- 1", r"a\.yaml` holds a list; expected `key: value` lines"),
        ("model: {type: merv-bse}", r"a\.yaml: `model.type` is `merv-bse`; did you mean `merv-base`"),
        ("model: {finetune: {epochs: 0}}", r"a\.yaml: `model.finetune`: epochs is 0"),
        ("model: merv-bse", r"a\.yaml: `model` is `merv-bse`; did you mean `merv-base`"),
        ("run_id: null", r"a\.yaml: `run_id` is null; expected text"),
        ("\x00", r"a\.yaml`: .*not allowed"),
    ],
)
def test_a_mistake_in_a_file_names_file_and_key(text, line, tmp_path):
    (tmp_path / "a.yaml").write_text(text)

    with pytest.raises(ConfigError, match=line) as caught:
        load(Run, tmp_path / "a.yaml")

    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_bytes_are_one_line(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("none.yaml", ".", "bytes.yaml"):
        with pytest.raises(ConfigError, match="config file"):
            load(Run, tmp_path / name)


def test_broken_json_names_its_place(tmp_path):
    (tmp_path / "a.json").write_text('{"seed": }')

    with pytest.raises(ConfigError, match=r"a\.json`: Expecting value: line 1 column 10"):
        load(Run, tmp_path / "a.json")
