"""The role models: patches -> vision tower -> into the text -> LLM with the role's adapter -> words and moments.

One Qwen2-VL of transformers, taken apart into its vision tower and its language model, with adapters and grounding
heads beside it (VideoMind, https://arxiv.org/abs/2503.13444).  Single-device code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from merv.backbones.llm.base import LLM
from merv.data.sample import Batch, Sample
from merv.errors import ConfigError, SampleError
from merv.models.answering import device_of
from merv.models.base import Output, VideoLM
from merv.models.lora import add_lora
from merv.models.prompted import Prompts
from merv.models.qwen2_vl.adapters import adapter_lora, adapter_names, go_on_learning, speaking
from merv.models.qwen2_vl.batch import PATCHES, RoleBatch
from merv.models.qwen2_vl.grounding_head import GroundingHead, GroundingHeadConfig
from merv.models.qwen2_vl.moments import learn_moments, read_moments
from merv.models.qwen2_vl.patches import normalise
from merv.models.qwen2_vl.processor import RoleProcessor
from merv.models.qwen2_vl.prompts import WORDS_BEFORE_VERDICT
from merv.models.qwen2_vl.roles import ROLES
from merv.models.qwen2_vl.verdict import verdicts
from merv.models.qwen2_vl.words import words_loss
from merv.models.reply import Reply
from merv.models.stage import LoraConfig, StageName

if TYPE_CHECKING:
    from merv.models.qwen2_vl.config import Qwen2VLConfig

LEARNING: dict[str, tuple[str, ...]] = {
    "align": ("heads",),
    "full-align": ("llm", "heads"),
    "finetune": ("llm", "heads"),
    "full-finetune": ("vision", "llm", "heads"),
}
"""Parts each stage trains; with `lora.rank` above 0, of the llm only the adapters."""


class RoleLM(VideoLM):
    """A vision tower, a language model with an adapter for each role, and heads for roles that find moments."""

    config: Qwen2VLConfig
    processor: RoleProcessor
    adapters_stay = True

    def __init__(self, config: Qwen2VLConfig, base: Any, llm: LLM, processor: RoleProcessor) -> None:
        """Wire the parts.

        Args:
            config: the model's; its role is the one that learns.
            base: the vision tower.
            llm: the language model without its vision tower.
            processor: that of the role.
        """
        super().__init__()
        self.config = config
        self.vision = base
        self.llm = llm
        self.heads = nn.ModuleDict()
        self.processor = processor
        if ROLES[config.role].has_head:
            self.heads[config.role] = GroundingHead(config.head, llm.dim)

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles that can be asked: those with an adapter, the model's own, and the answerer, which needs none."""
        held = {*adapter_names(self.llm), self.config.role, "answerer"}
        return tuple(name for name in ROLES if name in held)

    def parts(self) -> Mapping[str, nn.Module]:
        """Vision tower, LLM, grounding heads."""
        return {"vision": self.vision, "llm": self.llm, "heads": self.heads}

    def blocks(self) -> list[nn.Module]:
        """Layers of the vision tower and of the LLM."""
        return [*self.vision.blocks, *self.llm.blocks()]

    def learning_parts(self, stage: StageName) -> list[str]:
        """Names of the parts a stage trains.

        Raises:
            ConfigError: the stage trains grounding heads alone, and the role has none.
        """
        learning = [name for name in LEARNING[stage] if name != "heads" or len(self.heads)]
        if not learning:
            raise ConfigError(f"stage {stage} trains the grounding head alone, and role {self.config.role} has none")
        return learning

    def add_adapters(self, lora: LoraConfig) -> None:
        """Put an adapter for the model's own role into the LLM; it learns.  One that was loaded before goes on.

        Raises:
            ConfigError: the one loaded before differs in more than dropout.
        """
        if adapter_lora(self.llm.model, self.config.role) is None:
            add_lora(self.llm.model, lora, self.config.role)
        else:
            go_on_learning(self.llm.model, self.config.role, lora)

    def add_role(self, role: str, lora: LoraConfig, head: GroundingHeadConfig | None = None) -> None:
        """Add an adapter for another role, and a head where it finds moments; both begin without an effect."""
        add_lora(self.llm.model, lora, role)
        if head is not None:
            self.heads[role] = GroundingHead(head, self.llm.dim)

    def settle_adapters(self) -> None:
        """Adapters stay adapters: roles take turns on one base."""

    def unpublished_parts(self) -> set[str]:
        """Grounding heads; the base as well where its weights are random ones that nobody can draw again."""
        heads = {"heads"} if len(self.heads) else set()
        return heads if self.config.is_published() and not self.base_changed else {"vision", "llm", *heads}

    def visual_tokens(self) -> int:
        """Most visual tokens of one row, by the role's budget."""
        cut, budget = self.processor.geometry, self.processor.budgets[self.config.role]
        return budget.max_frames // cut.temporal * (budget.max_pixels // (cut.patch * cut.merge) ** 2)

    def station_tokens(self, batch: Batch) -> dict[str, int]:
        """Patches for the vision tower, tokens for the LLM, time steps for the head."""
        assert isinstance(batch, RoleBatch)
        steps = sum(len(found.saliency) for found in batch.moments if found is not None)
        patches = sum(t * h * w for t, h, w in batch.grids)
        return {"vision": patches, "llm": int(batch.attention_mask.sum()), "heads": steps}

    def forward(self, batch: Batch) -> Output:
        """Cross-entropy of the answers summed over tokens, and what the grounding head is to learn over rows."""
        assert isinstance(batch, RoleBatch)
        with speaking(self.llm, batch.roles):
            # Padding stands on the right, where a causal model never looks.
            hidden, states = self.states(self.embed(batch, always=True), None, batch.positions)
        loss_sum = words_loss(self.llm, hidden, batch)
        row_loss = None
        if self.config.role in self.heads:
            row_loss = learn_moments(self.heads[self.config.role], states, batch, self.processor.geometry)
        return Output(loss_sum, batch.targets.new_full((), len(batch.targets)), row_loss)

    def see(self, batch: RoleBatch, *, always: bool = False) -> Tensor | None:
        """Visual tokens of all clips, one clip after the other.  -> (sum of tokens, D); None when nothing is shown.

        With `always` a stand-in is looked at instead: a rank that drew text alone runs the same modules as the others.
        """
        if not batch.grids and not always:
            return None
        weight = self.vision.patch_embed.proj.weight
        device = batch.input_ids.device
        if batch.grids:
            patches, grids = batch.frames[PATCHES], batch.grids
        else:
            side = self.processor.geometry.merge
            patches = torch.zeros(side * side, weight[0].numel(), dtype=torch.uint8, device=device)
            grids = ((1, side, side),)
        pixels = normalise(patches, weight.dtype)
        return self.vision(pixels, grid_thw=torch.tensor(grids, device=device)).pooler_output

    def embed(self, batch: RoleBatch, *, always: bool = False) -> Tensor:
        """Embeddings of a batch with the visual tokens in their places, (B, L, D); `always` as for `see`."""
        embeds, visual = self.llm.embed(batch.input_ids), self.see(batch, always=always)
        if visual is None:
            return embeds
        visual = visual.to(embeds.dtype)
        if not batch.grids:
            return embeds + 0 * visual.sum()
        if batch.shows is not None:
            cut = self.processor.geometry
            clips = visual.split([grid[0] * cut.tokens(grid) for grid in batch.grids])
            visual = torch.cat([clips[clip] for clip in batch.shows.tolist()])
        return embeds.masked_scatter((batch.input_ids == self.processor.ids.video)[..., None], visual)

    def states(self, embeds: Tensor, mask: Tensor | None, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states for the head of the LLM, and those before its last norm, which the grounding head reads."""
        with self.before_norm() as seen:
            hidden = self.llm(embeds, mask, positions)
        return hidden, seen[-1]

    @contextmanager
    def before_norm(self) -> Iterator[list[Tensor]]:
        """Collects what goes into the LLM's last norm, a tensor for each forward pass."""
        seen: list[Tensor] = []
        norm = self.llm.model.get_decoder().norm
        handle = norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            yield seen
        finally:
            handle.remove()

    def prompts(self, batch: Batch) -> Prompts:
        """Left-padded prompts with their visual tokens in place; whether or not something is shown, the tower runs.

        Raises:
            ConfigError: a role answers with a head.
        """
        assert isinstance(batch, RoleBatch)
        for role in sorted({role for role in batch.roles if ROLES[role].has_head}):
            raise ConfigError(f"role {role} finds moments with a head; only roles that answer in words can be sampled")
        return Prompts(self.embed(batch, always=True), batch.attention_mask, batch.positions, batch.roles)

    def talking(self, prompts: Prompts) -> AbstractContextManager[None]:
        """Within it each row goes through its role's adapter."""
        return speaking(self.llm, prompts.roles)

    def respond(self, batch: Batch, **options: Any) -> list[str]:
        """The words of the replies."""
        return [reply.text for reply in self.reply(batch, **options)]

    @torch.inference_mode()
    def reply(self, batch: Batch, **options: Any) -> list[Reply]:
        """What each row's role says: a verifier its verdict, the others what they generate, with the moments found."""
        assert isinstance(batch, RoleBatch)
        judged = [row for row, role in enumerate(batch.roles) if role == "verifier"]
        others = [row for row, role in enumerate(batch.roles) if role != "verifier"]
        replies: dict[int, Reply] = {}
        for rows, answer in ((judged, self._judge), (others, self._speak)):
            if rows:
                part = batch if len(rows) == batch.size else batch.choose(rows)
                replies.update(zip(rows, answer(part, options), strict=True))
        return [replies[row] for row in range(batch.size)]

    def stream(self, batch: Batch, **options: Any) -> Iterator[str]:
        """The answer to a batch of one prompt, word by word; whole for roles that call a head or give a verdict."""
        assert isinstance(batch, RoleBatch)
        if ROLES[batch.roles[0]].has_head or batch.roles[0] == "verifier":
            yield self.respond(batch, **options)[0]
            return
        with speaking(self.llm, batch.roles):
            with torch.inference_mode():
                embeds = self.embed(batch)
            yield from self.llm.stream(
                embeds, batch.attention_mask, position_ids=batch.generation_positions(), **options
            )

    def _judge(self, batch: RoleBatch, options: Mapping[str, Any]) -> list[Reply]:
        ids = self.processor.ids
        before = WORDS_BEFORE_VERDICT[self.processor.for_role("verifier").own_wording]
        with speaking(self.llm, batch.roles):
            said: Any = self.llm.generate(
                self.embed(batch),
                batch.attention_mask,
                position_ids=batch.generation_positions(),
                max_new_tokens=before + 1,
                min_new_tokens=before + 1,
                output_logits=True,
                return_dict_in_generate=True,
            )
        logits = said.logits[before].float()
        return verdicts(logits, yes=ids.yes, no=ids.no, protocol=self.config.protocol)

    def _speak(self, batch: RoleBatch, options: Mapping[str, Any]) -> list[Reply]:
        if options.get("num_beams", 1) != 1 and any(ROLES[role].has_head for role in batch.roles):
            raise ConfigError(f"num_beams is {options['num_beams']}; a role that finds moments speaks word by word: 1")
        with speaking(self.llm, batch.roles), self.before_norm() as seen:
            embeds = self.embed(batch)
            written = self.llm.generate(
                embeds, batch.attention_mask, position_ids=batch.generation_positions(), **options
            )
        found = read_moments(self.heads, seen, written, batch, self.processor)
        texts = [self.processor.words(row) for row in written]
        return [Reply(text, spans) for text, spans in zip(texts, found, strict=True)]

    def ask(
        self, asked: Sequence[tuple[str, Sample]], *, batch_size: int = 8, **options: Any
    ) -> list[Reply | SampleError]:
        """Put samples to roles, several at a time whatever their roles; a video is decoded once for each role.

        Args:
            asked: role and sample.
            batch_size: rows that go through the model at a time.
            options: those of transformers' generate, such as max_new_tokens (default 256).

        Raises:
            ConfigError: a role nobody has.
        """
        for role in sorted({role for role, _ in asked} - set(self.roles)):
            raise ConfigError(f"this model has no role `{role}`; it has {', '.join(self.roles)}")
        options = {"max_new_tokens": 256, "do_sample": False, **options}
        self.eval()
        found: list[Any] = [None] * len(asked)
        for role in dict.fromkeys(role for role, _ in asked):
            rows = [row for row, (name, _) in enumerate(asked) if name == role]
            samples = [asked[row][1] for row in rows]
            for row, made in zip(rows, self.processor.for_role(role).prepare_all(samples, answer=False), strict=True):
                found[row] = made
        ready = [row for row, example in enumerate(found) if not isinstance(example, SampleError)]
        for start in range(0, len(ready), batch_size):
            rows = ready[start : start + batch_size]
            batch = self.processor.collate([found[row] for row in rows], pad="left").to(device_of(self))
            for row, reply in zip(rows, self.reply(batch, **options), strict=True):
                found[row] = reply
        return found
