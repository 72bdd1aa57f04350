"""A model that replies by a rule, without any endpoint."""

from threading import Lock

from merv.endpoint.chat import ChatReply


class RuleReplier:
    """`rule(text)` gives the reply to a prompt: a text, a `ChatReply` or None."""

    def __init__(self, rule, *, name="rule", concurrency=1, batch_size=1):
        self.rule, self.name = rule, name
        self.concurrency, self.batch_size = concurrency, batch_size
        self.texts, self.prompts, self.lock = [], [], Lock()

    def identity(self):
        return {"name": self.name}

    def replies(self, prompts, stop):
        with self.lock:
            self.texts += [prompt.user for prompt in prompts]
            self.prompts += prompts
        found = [self.rule(prompt.user) for prompt in prompts]
        return [ChatReply(reply) if isinstance(reply, str) else reply for reply in found]
