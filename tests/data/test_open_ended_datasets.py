import pytest

from merv.data.datasets import DatasetConfig
from merv.data.open_ended_datasets import ActivityNetQaConfig, MsvdQaConfig
from merv.errors import ConfigError

from .question_layout import ANSWERS, QUESTION, ZERO_SHOT, write_layout
from .role_layout import write

EVALUATED = {"msvd-qa": "MSVD", "msrvtt-qa": "MSRVTT", "tgif-qa": "TGIF", "activitynet-qa": "ActivityNet"}
each_set = pytest.mark.parametrize("name", ZERO_SHOT)


def config_of(name, root, **options):
    return DatasetConfig.new(name, dataset_root_dir=root, **options)


def test_every_set_of_the_module_is_tested():
    ours = [
        name
        for name in DatasetConfig.available()
        if DatasetConfig.get(name).__module__.endswith("open_ended_datasets")
    ]

    assert sorted(ours) == sorted(ZERO_SHOT)


@each_set
def test_a_question_is_answered_in_words(tmp_path, name):
    (sample,) = config_of(name, write_layout(tmp_path)).load("align")

    assert (sample.id, sample.meta) == (f"{name}-0", {"task": "answer", "question": "what flies above the roof?"})
    assert [turn.text for turn in sample.turns] == ["what flies above the roof?", "kite"]
    folder, videos = ZERO_SHOT[name]
    file = "v_kite.mp4" if name == "activitynet-qa" else "kite.mp4"
    assert (sample.media[0].path, sample.media[0].span) == (tmp_path / folder / videos / file, None)


@each_set
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_is_a_pair_of_files_also_where_the_evaluation_has_them(tmp_path, name, split):
    folder = tmp_path / EVALUATED[name]
    write(folder / f"{split}_q.json", [QUESTION])
    write(folder / f"{split}_a.json", ANSWERS)
    write(folder / "videos" / "kite.webm", "")

    source = config_of(name, tmp_path, split=split).load("align")

    assert source[0].media[0].path == folder / "videos" / "kite.webm"
    assert source.files == [folder / f"{split}_q.json", folder / f"{split}_a.json"]


@each_set
def test_a_wrong_root_is_told_in_one_line_with_the_expected_tree(tmp_path, name):
    config = config_of(name, tmp_path / "none")

    with pytest.raises(ConfigError, match=f"^dataset `{name}`: .* missing; download it from") as caught:
        config.load("align")

    assert "\n" not in str(caught.value)
    assert all(str(path) in str(caught.value) and path.name in caught.value.below for path in config.files())
    assert ZERO_SHOT[name][0] in caught.value.below


def test_a_question_without_an_answer_is_a_bad_row(tmp_path):
    folder = write_layout(tmp_path) / "MSVD_Zero_Shot_QA"
    write(folder / "train_q.json", [QUESTION, {**QUESTION, "question_id": "9"}, {**QUESTION, "question": 3.5}])

    source = MsvdQaConfig(dataset_root_dir=tmp_path).load("align")

    assert [(bad.row, bad.reason) for bad in source.bad_rows] == [
        (1, "question_id 9 has no answer"),
        (2, "field question: found float 3.5; expected text"),
    ]


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([*ANSWERS, {"question_id": "0", "answer": "bird"}], r"train_a\.json row 2: question_id 0 has another answer"),
        ([{"question_id": "0"}], r"train_a\.json row 0: field answer: found nothing; expected text; download it"),
        ({}, r"train_a\.json holds an empty dict; expected a list of rows with question_id and answer"),
    ],
)
def test_answers_that_cannot_be_used_are_refused_in_one_line(tmp_path, answers, says):
    write(write_layout(tmp_path) / "MSVD_Zero_Shot_QA" / "train_a.json", answers)

    with pytest.raises(ConfigError, match=says) as caught:
        MsvdQaConfig(dataset_root_dir=tmp_path).load("align")

    assert "\n" not in str(caught.value)


def test_videos_of_activitynet_may_stand_by_their_name_alone(tmp_path):
    root = write_layout(tmp_path)
    write(root / "Activitynet_Zero_Shot_QA" / "all_test" / "kite.mkv", "")

    (sample,) = ActivityNetQaConfig(dataset_root_dir=root).load("align")

    assert sample.media[0].path.name == "kite.mkv"


def test_msvd_is_read_from_the_one_file_of_lavis_where_there_is_no_pair(tmp_path):
    row = {"answer": "a kite", "question": "what?", "question_id": "0000", "video": "a_1_2", "frame_length": 9}
    root = write_layout(tmp_path)
    write(root / "MSVD_Zero_Shot_QA" / "qa_val.json", {"0000": row, "0001": {**row, "question_id": "7"}})
    write(root / "MSVD_Zero_Shot_QA" / "qa_train.json", {})

    source = MsvdQaConfig(dataset_root_dir=root, split="val").load("align")

    assert [(sample.id, sample.turns[1].text) for sample in source] == [("msvd-qa-0000", "a kite")]
    assert source[0].media[0].path == root / "MSVD_Zero_Shot_QA" / "videos" / "a_1_2.mp4"
    assert [bad.reason for bad in source.bad_rows] == ["question_id 7 has no answer"]
    assert MsvdQaConfig(dataset_root_dir=root).load("align")[0].id == "msvd-qa-0"


@pytest.mark.parametrize("options", [{"form": "grounding"}, {"crop": True}])
def test_open_questions_say_nothing_of_moments(options):
    with pytest.raises(ConfigError, match="`msvd-qa`"):
        MsvdQaConfig(**options)
