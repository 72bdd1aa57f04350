"""What stands in for a machine that a page's command speaks to and the tests do not have."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

from endpoint.server import ChatServer


def _reply(number: int, prompt: str) -> str:
    """A question about what is described, or a letter; both follow from the prompt."""
    drawn = int(sha256(prompt.encode()).hexdigest(), 16)
    letters = re.findall(r"\(([A-F])\)", prompt)
    if letters:
        return f"({letters[drawn % len(letters)]})"
    wrong = [f"thing {place}" for place in range(prompt.partition('"distractors"')[2].count('"..."'))]
    return json.dumps({"question": f"What is seen beside {drawn % 10**6}?", "answer": "a shape", "distractors": wrong})


@contextmanager
def endpoint_for(words: Sequence[str]) -> Iterator[list[str]]:
    """The words of a command, with the address of a server on this machine in the place of `--llm`."""
    if "--llm" not in words:
        yield list(words)
        return
    with ChatServer(_reply) as server:
        place = list(words).index("--llm") + 1
        yield [*words[:place], server.url, *words[place + 1 :]]
