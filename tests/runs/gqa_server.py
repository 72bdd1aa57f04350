"""One endpoint that writes questions and answers them blind, and a grounding set of moments to write about."""

import json
import re
from hashlib import sha256

from data.role_layout import VIDEOS, write
from endpoint.server import ChatServer, Reply

from merv.runs.cli import main

KEY = "sk-secret-0123456789"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20}


def write_set(root, num, name="qvhighlights"):
    """A set of `num` moments, one a video; every third one is known without its video."""
    rows = [
        {
            "qid": n,
            "query": f"A {_kind(n)} thing {n} happens.",
            "vid": f"v{n}",
            "duration": 30,
            "relevant_windows": [[2, 8]],
        }
        for n in range(num)
    ]
    files = {"qvhighlights": "highlight_train_release.jsonl", "tacos": "train.jsonl"}
    write(root / name / files[name], *rows)
    (root / name / VIDEOS).mkdir()
    return root


def _kind(number):
    return "known" if number % 3 == 0 else "hidden"


def is_blind(prompt):
    return "Options:" in prompt


def number_of(prompt):
    return int(re.search(r"thing (\d+)", prompt)[1])


def written(prompt, **changed):
    """A good reply with as many wrong answers as the prompt shows places for."""
    number = number_of(prompt)
    num_wrong = prompt.partition('"distractors"')[2].count('"..."')
    values = {
        "question": f"What does {_kind(number)} thing {number} look like?",
        "answer": f"round {number}",
        "distractors": [f"square {number} {n}" for n in range(num_wrong)],
    }
    return json.dumps({**values, **changed})


def answered(prompt):
    """The right letter where it is known, else one that depends on the words, as a guess does."""
    options = re.findall(r"\(([A-F])\) (\w+)", prompt)
    if "known thing" in prompt:
        return f"({next(letter for letter, word in options if word == 'round')})"
    return f"({options[int(sha256(prompt.encode()).hexdigest(), 16) % len(options)][0]})"


def reply(prompt):
    return Reply(answered(prompt) if is_blind(prompt) else written(prompt), usage=USAGE)


class Llm(ChatServer):
    """Writes and answers well, but for what `rule(n, prompt)` says first; None leaves it to the good rule."""

    def __init__(self, rule=lambda n, prompt: None):
        super().__init__(lambda n, prompt: rule(n, prompt) or reply(prompt))

    @property
    def writing(self):
        return [prompt for prompt in self.prompts if not is_blind(prompt)]

    @property
    def blind(self):
        return [prompt for prompt in self.prompts if is_blind(prompt)]


def words_of(root, url, *options, out="out"):
    fast = ["--chat.backoff_s", "0.001", "--chat.max_attempts", "3", "--chat.timeout_s", "5"]
    where = ["--source.dataset_root_dir", str(root), "--out", str(root / out), "--cache_dir", str(root / "replies")]
    return ["data", "build-gqa", "--source", "qvhighlights", *where, "--llm", url, *fast, *options]


def build(root, server, *options, out="out"):
    return main(words_of(root, server.url, *options, out=out))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def report_of(root, out="out"):
    return json.loads((root / out / "report.json").read_text())


def error_of(capsys):
    """The one line a command ends with; the log stands above it."""
    *log, line = capsys.readouterr().err.strip().splitlines()
    assert not any("error:" in other for other in log)
    return line
