from merv.data.formats.mvbench import FOLDERS
from merv.evaluation.task import Item, Parsed
from merv.evaluation.tasks.mvbench import MvbenchConfig
from merv.video.media import Span

from .small import real, small


def items_of(task, texts):
    for sample, text in zip(task.samples(), texts, strict=True):
        parsed = task.parse(sample, text)
        yield Item(sample, task.score(sample, parsed), parsed, text)


def test_twenty_tasks_with_the_folders_of_their_videos(tmp_path):
    samples = small("mvbench", tmp_path).build().samples()

    assert [sample.meta["kind"] for sample in samples] == list(FOLDERS)
    by_kind = {sample.meta["kind"]: sample.media[0] for sample in samples}
    root = tmp_path / "mvbench/video"
    assert by_kind["action_sequence"].path == root / "star/Charades_v1_480/a.mp4"
    assert by_kind["action_sequence"].span == Span(0.25, 1.0)
    assert by_kind["action_antonym"].span is None
    assert by_kind["episodic_reasoning"].path == root / "tvqa/frames_fps3_hq/castle_clip_14"


def test_the_number_is_the_mean_over_tasks(tmp_path):
    task = small("mvbench", tmp_path).build()

    summary = task.summary(list(items_of(task, ["B"] * 5 + ["A"] * 15)))

    assert summary["accuracy"] == summary["mean_over_tasks"] == 0.25


def test_the_official_protocol_ends_in_an_open_bracket_and_reads_the_first_word(tmp_path):
    task = small("mvbench", tmp_path, protocol="official").build()
    sample = task.samples()[0]

    assert sample.turns[0].text.endswith("(B) Sit.\nOnly give the best option.\nBest option:(")
    assert [task.parse(sample, text).value for text in ("B) Sit.", "b", "Sit.")] == [1, 1, None]


def test_lmms_eval_s_own_number_leaves_empty_answers_out(tmp_path):
    texts = ["B"] * 4 + ["A"] * 4 + [""] * 12

    task = small("mvbench", tmp_path, protocol="lmms-eval").build()
    summary = task.summary(list(items_of(task, texts)))

    assert (summary["accuracy"], summary["accuracy_of_answered"], summary["unparsed"]) == (0.2, 0.5, 12)
    silent = [Item(s, {"accuracy": 0.0}, Parsed(ok=False)) for s in task.samples()]
    assert task.summary(silent)["accuracy_of_answered"] == 0.0
    assert "accuracy_of_answered" not in small("mvbench", tmp_path).build().summary(silent)


def test_genuine_lists_are_read():
    folder = real("annotations", "mvbench", "json")

    task = MvbenchConfig(annotations=folder).build()

    samples = task.samples()
    assert (len(samples), task.describe()["without_right_option"]) == (1200, 0)
    assert samples[0].meta["options"][0] == "Ate the medicine."
    assert (samples[0].meta["answer"], samples[0].media[0].span) == (0, Span(1.5, 17.1))
    episodic = next(sample for sample in samples if sample.meta["kind"] == "episodic_reasoning")
    assert (episodic.media[0].path.name, episodic.media[0].span) == ("castle_s07e04_seg02_clip_14", Span(0.0, 38.32))
