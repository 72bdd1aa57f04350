"""Models in other layouts: merged, consolidated, for Megatron-core; each folder written whole or not at all."""
