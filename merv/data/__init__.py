"""Rows to samples to batches; knows no model."""

from merv.data import (  # noqa: F401 - register datasets
    choice_datasets,
    conversation_datasets,
    grounded_question_datasets,
    moment_datasets,
    open_ended_datasets,
    role_datasets,
    role_mixtures,
    role_question_datasets,
    shard_dataset,
    synthetic_roles,
)
from merv.data.dataset import PreparedDataset, Source
from merv.data.datasets import DatasetConfig, Mixture
from merv.data.group_sampling import GroupedSampler
from merv.data.ledger import BadRow, BadSampleLedger
from merv.data.loader import Loader, build_loader
from merv.data.role_dataset import RoleDatasetConfig
from merv.data.sample import IGNORE_INDEX, Batch, Example, Sample, Turn
from merv.data.sampling import LengthGroupedSampler, SplitModalitySampler
from merv.data.survey import Survey, survey
from merv.data.workers import WorkerError

__all__ = [
    "IGNORE_INDEX",
    "BadRow",
    "BadSampleLedger",
    "Batch",
    "DatasetConfig",
    "Example",
    "GroupedSampler",
    "LengthGroupedSampler",
    "Loader",
    "Mixture",
    "PreparedDataset",
    "RoleDatasetConfig",
    "Sample",
    "Source",
    "SplitModalitySampler",
    "Survey",
    "Turn",
    "WorkerError",
    "build_loader",
    "survey",
]
