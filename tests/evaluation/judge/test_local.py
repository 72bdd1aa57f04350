import json
import shlex
import sys
from types import SimpleNamespace

import pytest

from merv.errors import ConfigError, RunStopped
from merv.evaluation.judge.asking import verdicts
from merv.evaluation.judge.local import CommandJudgeConfig, MervJudgeConfig, give_loader
from merv.evaluation.judge.prompts import Case
from merv.evaluation.judge.replies import Verdict

from .server import NO, YES

CASES = [Case("what runs?", "a cat", "a cat \ud800"), Case("what sits?", "a dog", "a cat")]


def command(tmp_path, code, **options):
    script = tmp_path / "judge.py"
    script.write_text(code)
    words = shlex.join([sys.executable, "-S", "-E", str(script)])
    return CommandJudgeConfig(command=words, cache_dir=tmp_path / "cache", max_attempts=2, **options)


def test_a_command_reads_the_prompt_and_writes_its_reply(tmp_path):
    made = command(tmp_path, f"import sys\ntext = sys.stdin.read()\nprint({YES!r} if 'a dog' in text else {NO!r})")

    assert verdicts(made.build(), made, CASES) == [Verdict(False, 1), Verdict(True, 5)]


def test_a_command_that_fails_is_tried_again_and_then_stops_the_run(tmp_path):
    made = command(tmp_path, f"open({str(tmp_path / 'calls')!r}, 'a').write('x')\nraise SystemExit(3)")

    with pytest.raises(
        RunStopped, match=r"judge program `python\S*` does not reply after 2 attempts: exit status 3; 0"
    ):
        verdicts(made.build(), made, CASES[:1])

    assert (tmp_path / "calls").read_text() == "xx"


def test_a_command_that_takes_too_long_stops_the_run(tmp_path):
    made = command(tmp_path, "import time\ntime.sleep(60)", timeout_s=0.1)

    with pytest.raises(RunStopped, match=r"no reply within 0\.1 s"):
        verdicts(made.build(), made, CASES[:1])


def test_a_command_that_says_nothing_readable_ends(tmp_path):
    made = command(tmp_path, "print('hm')")

    assert verdicts(made.build(), made, CASES) == [None, None]


def test_a_changed_script_is_another_judge(tmp_path):
    made = command(tmp_path, f"print({YES!r})")
    first = verdicts(made.build(), made, CASES)

    changed = command(tmp_path, f"print({NO!r})  # stricter")

    assert verdicts(changed.build(), changed, CASES) == [Verdict(False, 1)] * 2
    assert first == [Verdict(True, 5)] * 2
    assert changed.build().describe() == made.build().describe()


def test_a_long_word_in_a_command_is_no_file():
    made = CommandJudgeConfig(command=f"env {'x' * 5000}")

    assert made.build().identity()["files"] == []


def test_what_stands_in_a_command_is_not_shown(tmp_path):
    made = CommandJudgeConfig(command="env TOKEN=secret judge")

    judge = made.build()

    assert judge.describe()["model"] == "env"
    assert "secret" not in json.dumps([judge.describe(), judge.identity()])
    assert judge.identity() != CommandJudgeConfig(command="env TOKEN=other judge").build().identity()


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "`` is not there"), ("/no/such/judge -x", "`/no/such/judge` is not there"), ("judge 'x", "cannot be split")],
)
def test_a_command_that_is_none_is_refused(text, says):
    with pytest.raises(ConfigError, match=says):
        CommandJudgeConfig(command=text).build()


class Replying:
    def __init__(self):
        self.calls = []

    def generate(self, **options):
        self.calls.append(options)
        return [YES if "a dog" in prompt else NO for prompt in options["prompt"]]


def test_a_model_of_merv_judges_in_batches_without_a_video(tmp_path):
    made = MervJudgeConfig(model="runs/j", batch_size=2, max_new_tokens=9, cache_dir=tmp_path)
    task, model, loaded = SimpleNamespace(judge=made.build()), Replying(), []

    give_loader(task, lambda name: loaded.append(name) or model)
    found = verdicts(task.judge, made, [*CASES, Case("what lies?", "a bat", "a bat")])

    assert found == [Verdict(False, 1), Verdict(True, 5), Verdict(False, 1)]
    assert loaded == ["runs/j"]
    assert [len(call["prompt"]) for call in model.calls] == [2, 1]
    assert model.calls[0].keys() == {"prompt", "batch_size", "max_new_tokens"}


def test_other_weights_in_the_folder_of_the_judge_are_another_judge(tmp_path):
    made = MervJudgeConfig(model=str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = made.build().identity()
    (tmp_path / "model.safetensors").write_bytes(b"22")

    assert made.build().identity() != first


def test_a_model_that_nobody_can_load_is_named(tmp_path):
    made = MervJudgeConfig(model="runs/j", cache_dir=tmp_path)

    with pytest.raises(ConfigError, match="judge model `runs/j` cannot be loaded here"):
        verdicts(made.build(), made, CASES)


def test_a_judge_without_a_model_is_refused():
    with pytest.raises(ConfigError, match=r"none is named; set judge\.model"):
        MervJudgeConfig().build()


def test_a_loader_is_given_to_no_other_task():
    task = SimpleNamespace(name="other")

    give_loader(task, print)

    assert vars(task) == {"name": "other"}
