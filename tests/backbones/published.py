"""Small weights in the layout of a published repository, so that the real loading code reads them."""

import json

import torch
from safetensors.torch import save_file


def save_folder(folder, tensors, config=None, *, file="pytorch_model.bin"):
    """Write weights, and config.json if there is one; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if file.endswith(".safetensors"):
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / file)
    else:
        torch.save(dict(tensors), folder / file)
    return folder
