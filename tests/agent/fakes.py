"""A role model that replies by script, and evaluations of it; a module of its own, so that processes can import it."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from merv.agent.chain import ChainConfig
from merv.agent.evaluate import ChainAnswering
from merv.data.sample import Example, Sample, Turn
from merv.errors import SampleError
from merv.evaluation.runner import evaluate_with
from merv.evaluation.tasks.spans_task import GroundedQaTask, grounded_qa_sample, grounding_sample
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.reply import Reply
from merv.video.media import MediaRef

OPTIONS = ["ring", "cross", "square"]
PLAN = '[{"type": "grounder", "value": "the red ring."}, {"type": "verifier"}, {"type": "answerer"}]'
SPANS = ((2.0, 4.0, 0.9), (10.0, 16.0, 0.5), (6.0, 7.0, 0.4))
VERDICTS = {(2.0, 4.0): 0.3, (10.0, 16.0): 0.8, (6.0, 7.0): 0.3}
SCRIPT = {
    "planner": Reply(PLAN),
    "grounder": Reply("It happens in <|reg|>.", SPANS),
    "verifier": lambda sample: Reply("Yes.", score=VERDICTS.get(sample.meta["candidate"], 0.1)),
    "answerer": Reply("(B) cross"),
    "gqa": Reply("1) The relevant moment happens in <|reg|>\n2) Best choice: (B) cross", SPANS),
}


class FileProcessor:
    """Shows a video that is there; one called hang never comes to an end."""

    def for_role(self, role: str) -> "FileProcessor":
        return self

    def prepare(self, sample: Sample, *, answer: bool = True) -> Example:
        for ref in sample.media:
            if "hang" in ref.path.name:
                time.sleep(60)
            if not ref.path.exists():
                raise SampleError(f"video `{ref.path}` does not exist")
        return Example(None, None)  # type: ignore[arg-type]  # nobody reads it

    def prepare_all(self, samples: Sequence[Sample], *, answer: bool = True) -> list[Example | SampleError]:
        raise AssertionError("an agent prepares in its own processes")


class ScriptedRoles:
    """Replies as `script` says, a reply or a function of the sample for each role, and remembers what was asked."""

    def __init__(self, roles: Sequence[str] = tuple(SCRIPT), **script: Reply | SampleError | Callable) -> None:
        self.roles = tuple(roles)
        self.script = {**SCRIPT, **script}
        self.calls: list[list[tuple[str, Sample]]] = []
        self.options: list[dict] = []

    def ask(self, asked, **options):
        self.calls.append(list(asked))
        self.options.append(options)
        return [self.reply(role, sample) for role, sample in asked]

    def reply(self, role, sample):
        scripted = self.script[role]
        return scripted(sample) if callable(scripted) else scripted

    def asked(self, role: str) -> list[Sample]:
        """What one role was asked."""
        return [sample for call in self.calls for name, sample in call if name == role]


class ScriptedModel(ScriptedRoles):
    """The same as a model of the runner, which decodes what it is asked about."""

    def __init__(self, *args, **script) -> None:
        super().__init__(*args, **script)
        self.config, self.processor = MultiEncoderConfig(), FileProcessor()

    def reply(self, role, sample):
        [made] = self.processor.for_role(role).prepare_all([sample], answer=False)
        return made if isinstance(made, SampleError) else super().reply(role, sample)


def choice(video: Path | str = "a.mp4", **meta) -> Sample:
    """A multiple-choice question on a clip of 40 s."""
    meta = {"question": "What is red?", "options": OPTIONS, "answer": 1, "duration": 40.0, **meta}
    return Sample("q", (Turn("user", "What is red? Pick a letter."),), (MediaRef(Path(video)),), meta=meta)


def moment(video: Path | str = "a.mp4", **more) -> Sample:
    """When does it happen? in a clip of 40 s."""
    more = {"windows": [(10.0, 15.0)], "duration": 40.0, **more}
    return grounding_sample("m", "a ring  turns red.", media=MediaRef(Path(video)), **more)


def both(video: Path | str = "a.mp4", identifier: str = "g", **more) -> Sample:
    """A question and its moment in a clip of 40 s."""
    more = {"options": OPTIONS, "answer": 1, "windows": [(10.0, 15.0)], "duration": 40.0, **more}
    return grounded_qa_sample(identifier, "What is red?", media=MediaRef(Path(video)), **more)


def grounded_task(folder: Path, size: int = 4, *, missing: Sequence[int] = ()) -> GroundedQaTask:
    """Questions on the videos 0.mp4 and so on, which are made unless they are to be missing."""
    for number in range(size):
        if number not in missing:
            (folder / f"{number}.mp4").touch()
    return GroundedQaTask("grounded", [both(folder / f"{n}.mp4", f"g{n}") for n in range(size)])


def evaluate_fake(model, task, out_dir: Path, *, words=("grounder", "verifier"), resume: bool = True, **options):
    """Evaluate an agent of a fake; gives the summary."""
    chain = options.pop("chain", ChainConfig())
    answering = ChainAnswering(model, task, words, chain, **{"max_new_tokens": 8, "num_workers": 0, **options})
    return evaluate_with(answering, task, out_dir=out_dir, resume=resume, about_model={"weights_sha256": "abc"})


def evaluate_slowly(folder: str, size: int) -> None:
    """An evaluation that notes each item it begins in `begun`, and takes its time over it."""
    root = Path(folder)

    def slow(sample: Sample) -> Reply:
        (root / "begun" / f"{sample.id}-{os.environ['RANK']}").touch()
        time.sleep(0.2)
        return Reply("(B) cross")

    evaluate_fake(ScriptedModel(answerer=slow), grounded_task(root, size), root / "out")
