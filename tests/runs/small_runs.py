"""Command lines of small runs that several tests begin with."""


def vlm_words(data, root, run_id, *, stage="finetune", model="vlm", **options):
    """Command line of a small run of the family hf-vlm."""
    options = {"global_batch_size": 4, "per_device_batch_size": 4, "train_strategy": "single", **options}
    line = ["--model.type", "hf-vlm", "--model.path", str(root / model), "--model.dtype", "float32"]
    line += ["--model.num_frames", "2", "--model.enable_gradient_checkpointing", "false", "--trackers", "[jsonl]"]
    line += [*data, "--stage", stage, "--run_id", run_id, "--run_root_dir", str(root), "--num_workers", "0"]
    field = f"--model.{stage.replace('-', '_')}"
    return line + [word for key, value in options.items() for word in (f"{field}.{key}", str(value))]
