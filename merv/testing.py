"""Contracts as checks: does a new encoder, projector or fusion work with every model, stage and strategy?

    def test_my_encoder():
        check_video_backbone("my-encoder")

Each check raises AssertionError with one line: which part, what was found, what is expected.  Everything runs on the
CPU with random inputs; nothing is trained.
"""

import pickle
from collections.abc import Callable
from typing import Any

import draccus
import torch
import yaml
from draccus.utils import DraccusException
from torch import Tensor, nn

from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.models.freeze import recompute
from merv.models.fusion import FusionConfig
from merv.models.projectors import ProjectorConfig
from merv.registry import Registry

__all__ = ["check_fusion", "check_projector", "check_video_backbone"]

Build = Callable[[], Any]
Run = Callable[[Any], Tensor]

GRID = FeatureGrid(frames=4, height=4, width=4, dim=32)
"""What `check_projector` feeds a projector, unless told otherwise."""
TOLERANCE = 1e-4
"""Largest difference, relative to the largest value, between results that should be equal: sums may be reordered."""


def check_video_backbone(config: VideoBackboneConfig | str) -> None:
    """Check a video encoder, given its config or registered name.

    Raises:
        AssertionError: it breaks the contract of `merv.backbones.video.base`.
    """
    config = VideoBackboneConfig.get(config)() if isinstance(config, str) else config
    name = f"encoder `{_check_config(VideoBackboneConfig, config)}`"
    encoder: VideoBackbone = _seeded(config.build).eval()
    clips = _check_view(name, config, encoder)
    grid = encoder.grid
    _require(
        encoder.num_frames == config.num_frames,
        f"{name}: num_frames is {encoder.num_frames}, its config says {config.num_frames}; take it from the config",
    )
    _check_shape(name, encoder(clips), (len(clips), grid.frames, grid.tokens_per_frame, grid.dim), "grid")
    _check_rows(name, encoder, clips)
    if encoder.framewise:
        _check_framewise(name, encoder, clips)
    _check_blocks(name, encoder, clips)
    _check_module(name, config.build, lambda module: module(clips))
    _check_recomputation(name, config.build, clips)


def check_projector(config: ProjectorConfig | str, grid: FeatureGrid = GRID) -> None:
    """Check a projector, given its config or registered name, behind an encoder that gives `grid`.

    Raises:
        AssertionError: it breaks the contract of `merv.models.projectors`.
    """
    config = ProjectorConfig.get(config)() if isinstance(config, str) else config
    name = f"projector `{_check_config(ProjectorConfig, config)}`"

    def build() -> nn.Module:
        return config.build(grid, 24, tokens_per_frame=4, output_frames=grid.frames)

    projector: Any = _seeded(build).eval()
    features = _noise(3, grid.frames, grid.tokens_per_frame, grid.dim)
    _check_shape(name, projector(features), (3, projector.num_tokens, 24), "num_tokens")
    _check_rows(name, projector, features)
    _check_module(name, build, lambda module: module(features))


def check_fusion(config: FusionConfig | str, num_tokens: tuple[int, ...] = (6, 6, 6), dim: int = 24) -> None:
    """Check a fusion, given its config or registered name, of encoders that give `num_tokens` tokens.

    Raises:
        AssertionError: it breaks the contract of `merv.models.fusion`.
    """
    config = FusionConfig.get(config)() if isinstance(config, str) else config
    name = f"fusion `{_check_config(FusionConfig, config)}`"

    def build() -> nn.Module:
        return config.build(list(num_tokens), dim)

    fusion: Any = _seeded(build).eval()
    tokens = _noise(3, sum(num_tokens), dim)
    features = [part.requires_grad_() for part in tokens.split(num_tokens, dim=1)]
    fused, weights = fusion(features)
    _check_shape(name, fused, (3, fusion.num_tokens, dim), "num_tokens")
    if weights is not None:
        _check_shape(f"{name} weights", weights, (3, len(num_tokens)), "number of encoders")
        _require(_equal(weights.sum(1), torch.ones(3)), f"{name}: weights of a row sum to {weights.sum(1).tolist()}")
    _check_rows(name, lambda x: fusion(list(x.split(num_tokens, dim=1))).tokens, tokens)
    fused.sum().backward()
    unused = [number for number, part in enumerate(features) if part.grad is None]
    _require(not unused, f"{name}: no gradient for encoders {unused}; add 0 * their mean, so that DDP does not wait")
    _check_module(name, build, lambda module: module([part.detach() for part in features]).tokens)


def _check_config(family: type[Registry], config: Any) -> str:
    """The config is registered, and survives YAML and pickle; gives its name."""
    label = f"{type(config).__name__}"
    _require(isinstance(config, family), f"{label} is no {family.__name__}; derive it from that class")
    known = [name for name, choice in family.get_known_choices().items() if choice is type(config)]
    _require(bool(known), f"{label} is not registered; decorate it with @{family.__name__}.register_subclass(name)")
    try:
        back = draccus.decode(family, yaml.safe_load(yaml.safe_dump(draccus.encode(config, family))))
    except (DraccusException, yaml.YAMLError) as error:
        raise AssertionError(f"{label} does not come back from YAML: {' '.join(str(error).split())}") from error
    _require(back == config, f"{label} comes back from YAML as {back}, it was {config}; give each field its type")
    copy = pickle.loads(pickle.dumps(config))
    _require(copy == config, f"{label} comes back from pickle as {copy}, it was {config}")
    return known[0]


def _check_view(name: str, config: VideoBackboneConfig, encoder: VideoBackbone) -> Tensor:
    """Bytes of any size become the encoder's square view; gives two normalised clips."""
    view = encoder.transform.view
    _require(
        view.resize == config.resize,
        f"{name}: its view is resized `{view.resize}`, the config says `{config.resize}`; take it from the config",
    )
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (3 * config.num_frames, 3, 37, 53), generator=generator, dtype=torch.uint8)
    seen = view.apply(frames)
    _check_shape(f"{name} view", seen, (len(frames), 3, view.size, view.size), "view")
    _require(seen.dtype == torch.uint8, f"{name}: its view is {seen.dtype}; loaders ship uint8")
    return encoder.transform.normalise(seen).unflatten(0, (3, config.num_frames))


def _check_shape(name: str, found: Tensor, declared: tuple[int, ...], where: str) -> None:
    _require(
        tuple(found.shape) == declared,
        f"{name}: gives {tuple(found.shape)}, its {where} declares {declared}; make the two agree",
    )
    _require(bool(found.float().isfinite().all()), f"{name}: gives values that are not finite")


@torch.no_grad()
def _check_rows(name: str, run: Callable[[Tensor], Tensor], rows: Tensor) -> None:
    """A row's result is the same at every pass, and does not depend on the rows beside it."""
    together = run(rows)
    _require(_equal(run(rows), together), f"{name}: two passes differ in evaluation mode; it draws random numbers")
    for number in range(len(rows)):
        alone = run(rows[number : number + 1])[0]
        _require(
            _equal(alone, together[number]),
            f"{name}: row {number} differs by {_gap(alone, together[number]):.2g} alone and in a batch; "
            "normalise over features, not over the batch",
        )


@torch.no_grad()
def _check_framewise(name: str, encoder: VideoBackbone, clips: Tensor) -> None:
    """A framewise encoder takes any number of frames and treats each by itself."""
    grid, frames = encoder.grid, clips.flatten(0, 1)
    _require(
        grid.frames == encoder.num_frames,
        f"{name}: framewise, but {encoder.num_frames} frames give {grid.frames} time steps; they have to be as many",
    )
    whole = encoder(clips).flatten(0, 1)
    for count in {1, len(frames)}:
        found = encoder(frames[:count][None])[0]
        expected = (count, grid.tokens_per_frame, grid.dim)
        _check_shape(f"{name} with {count} frames", found, expected, "grid (framewise: any number of frames)")
        _require(
            _equal(found, whole[:count]),
            f"{name}: a frame's features differ by {_gap(found, whole[:count]):.2g} alone and in a clip; "
            "it is not framewise",
        )


def _check_blocks(name: str, encoder: VideoBackbone, clips: Tensor) -> None:
    """blocks() are distinct submodules, and all run in a forward pass."""
    blocks, modules = encoder.blocks(), {id(module) for module in encoder.modules()}
    foreign = [number for number, block in enumerate(blocks) if id(block) not in modules or block is encoder]
    _require(not foreign, f"{name}: blocks {foreign} are no submodules of it; list the layers themselves")
    inner = {id(module) for block in blocks for module in list(block.modules())[1:]}
    nested = [number for number, block in enumerate(blocks) if id(block) in inner]
    repeated = len(blocks) - len({id(block) for block in blocks})
    _require(not nested and not repeated, f"{name}: blocks() has {repeated} twice and {len(nested)} inside others")
    ran: set[int] = set()
    handles = [block.register_forward_hook(lambda module, *_: ran.add(id(module))) for block in blocks]
    with torch.no_grad():
        encoder(clips[:1])
    for handle in handles:
        handle.remove()
    idle = [number for number, block in enumerate(blocks) if id(block) not in ran]
    _require(not idle, f"{name}: blocks {idle} do not run in forward; call them as modules, or leave them out")


def _check_module(name: str, build: Build, run: Run) -> None:
    """Gradients, state dict and bfloat16 of any part."""
    module = _seeded(build).eval()
    expected = run(module)
    for kind, compute in (("float32", torch.float32), ("bfloat16 autocast", torch.bfloat16)):
        module.zero_grad()
        module.requires_grad_(True)
        with torch.autocast("cpu", compute, enabled=compute != torch.float32):
            found = run(module).float()
        _check_shape(f"{name} under {kind}", found, tuple(expected.shape), "float32 result")
        if found.requires_grad:
            (found * _noise(*found.shape)).sum().backward()
        _check_gradients(f"{name} under {kind}", module)
    other = _seeded(build, seed=1).eval()
    other.load_state_dict(module.state_dict(), strict=True)
    _require(
        _equal(run(other), expected),
        f"{name}: with the same state dict it gives other results; keep everything random in parameters or buffers",
    )


def _check_gradients(name: str, module: nn.Module) -> None:
    without = [key for key, parameter in module.named_parameters() if parameter.grad is None]
    _require(
        not without,
        f"{name}: no gradient reaches {', '.join(without[:3])} ({len(without)} in all); "
        "remove parameters that forward does not use, or DDP waits for them",
    )
    grads = {key: parameter.grad for key, parameter in module.named_parameters() if parameter.grad is not None}
    broken = [key for key, grad in grads.items() if not grad.isfinite().all()]
    _require(not broken, f"{name}: gradients of {', '.join(broken[:3])} are not finite")
    _require(not grads or any(bool(g.any()) for g in grads.values()), f"{name}: every gradient is zero")


def _check_recomputation(name: str, build: Build, clips: Tensor) -> None:
    """Activation checkpointing of blocks() changes neither results nor gradients nor names."""
    plain, wrapped = (_seeded(build).eval().requires_grad_() for _ in range(2))
    wrapped.load_state_dict(plain.state_dict(), strict=True)
    num_blocks = len(plain.blocks())
    recompute(wrapped, {id(block) for block in wrapped.blocks()})
    _require(
        plain.state_dict().keys() == wrapped.state_dict().keys() and len(wrapped.blocks()) == num_blocks,
        f"{name}: wrapping its blocks changes the names of its weights or the number of blocks",
    )
    stale = [
        number for number, block in enumerate(wrapped.blocks()) if not hasattr(block, "_checkpoint_wrapped_module")
    ]
    _require(
        not stale,
        f"{name}: blocks() gives {stale} as they were before its modules were wrapped; read them anew at each call, "
        "from attributes or a ModuleList",
    )
    results = [module(clips) for module in (plain, wrapped)]
    _require(_equal(*results), f"{name}: results change by {_gap(*results):.2g} when activations are recomputed")
    for result in (result for result in results if result.requires_grad):
        (result * _noise(*result.shape)).sum().backward()
    for (key, one), other in zip(plain.named_parameters(), wrapped.parameters(), strict=True):
        same = one.grad is not None and other.grad is not None and _equal(one.grad, other.grad)
        _require(same, f"{name}: the gradient of {key} changes when activations are recomputed")


def _seeded(build: Build, seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _gap(found: Tensor, expected: Tensor) -> float:
    return float((found.detach() - expected.detach()).abs().max())


def _equal(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    return _gap(found, expected) <= TOLERANCE * max(1.0, float(expected.detach().abs().max()))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
