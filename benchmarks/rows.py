"""What reading an annotation file costs: rows a second, and how much memory the rows take.

    python benchmarks/rows.py

Writes lists of made-up conversations in the layout of Video-LLaVA (one JSON list) and of Aria (messages, one row a
line), then reads each in a process of its own, as training does before its first step: every row checked, the length
of each noted for planning batches, a plan made, and a thousand rows fetched at random.  `all rows in memory` is what
most trainers do: json.load of the whole list.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from pathlib import Path

import psutil
from common import table

WORDS = ["ring", "star", "moves", "left", "right", "before", "after", "slowly", "the", "a", "dark", "ground"]
FETCHED = 1000


def write(path: Path, num_rows: int, num_words: int) -> None:
    """Rows with a question and an answer of `num_words` words each, about clips that are not there."""
    draw = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        file.write("" if path.suffix == ".jsonl" else "[")
        for number in range(num_rows):
            asked, said = (" ".join(draw.choices(WORDS, k=num_words)) for _ in range(2))
            row = (
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": asked}]},
                        {"role": "assistant", "content": [{"type": "text", "text": said}]},
                    ],
                    "images": None,
                    "video": {"path": f"clips/{number % 999}.mp4", "num_frames": 8},
                }
                if path.suffix == ".jsonl"
                else {
                    "id": str(number),
                    "video": f"valley/{number % 999}.mp4",
                    "conversations": [
                        {"from": "human", "value": f"<video>\n{asked}"},
                        {"from": "gpt", "value": said},
                    ],
                }
            )
            file.write(("," if number and path.suffix == ".json" else "") + json.dumps(row) + "\n")
        file.write("" if path.suffix == ".jsonl" else "]")


def measure(path: Path, how: str, answer: "multiprocessing.Queue[tuple[int, float, float]]") -> None:
    """Rows, seconds, and by how many MiB the peak of resident memory grew; runs in a process of its own."""
    from merv.data.formats import messages, video_llava
    from merv.data.sampling import SplitModalitySampler
    from merv.data.survey import survey

    process = psutil.Process()
    before = process.memory_info().rss
    began = time.perf_counter()
    if how == "merv":
        read = messages.read if path.suffix == ".jsonl" else video_llava.read
        reading = read(path, path.parent, dataset="benchmark")
        samples = reading.samples
        plan = SplitModalitySampler(survey(samples, lambda s: sum(len(t.text) for t in s.turns) // 4), 128)
        plan.global_batches(0)
        for place in random.Random(7).choices(range(len(samples)), k=FETCHED):
            samples[place]
    else:
        with path.open(encoding="utf-8") as file:
            samples = [json.loads(line) for line in file] if path.suffix == ".jsonl" else json.load(file)
    took = time.perf_counter() - began
    answer.put((len(samples), took, (_peak() - before) / 2**20))


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure each file and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--words", type=int, default=60, help="of a question and of an answer")
    parser.add_argument("--folder", type=Path, help="where the files are written; the system's by default")
    args = parser.parse_args()
    context, lines = multiprocessing.get_context("spawn"), []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for suffix in (".json", ".jsonl"):
            for num_rows in args.rows:
                path = Path(folder) / f"rows{suffix}"
                write(path, num_rows, args.words)
                for how in ("merv", "all rows in memory"):
                    answer: multiprocessing.Queue[tuple[int, float, float]] = context.Queue()
                    child = context.Process(target=measure, args=(path, how, answer))
                    child.start()
                    found, took, grown = answer.get()
                    child.join()
                    size = path.stat().st_size / 2**20
                    lines.append((suffix, f"{found:,}", f"{size:.0f}", how, f"{found / took:,.0f}", f"{grown:.0f}"))
                    print(*lines[-1], flush=True)
    header = ("file", "rows", "MiB on disk", "how", "rows/s", "peak memory, MiB more")
    print(table("Reading annotation files", header, lines))


if __name__ == "__main__":
    main()
