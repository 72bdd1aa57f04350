from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

from merv.errors import ConfigError, RunStopped
from merv.filters import classifier_training
from merv.filters.classifier_config import FilterTrainConfig
from merv.filters.classifier_data import View, find_labelled
from merv.filters.classifier_files import start_net
from merv.filters.classifier_metrics import measure
from merv.filters.classifier_training import Images, evaluate, learning_rate, train
from merv.filters.sharding import Shard

from .pictures import draw_labelled

ALONE, CPU, VIEW = Shard(0, 1), torch.device("cpu"), View(16, "stretch")
CONFIG = FilterTrainConfig(
    Path("in"), Path("out"), arch="tiny", init="random", image_size=16, epochs=3, batch_size=4, num_workers=0
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return Images(*find_labelled(draw_labelled(tmp_path_factory.mktemp("labelled"), 5, size=16)))


def trained(images, config=CONFIG):
    net = start_net("tiny", "random", 1)
    return net, train(net, {"train": images, "val": images}, VIEW, config, CPU, ALONE)


def test_the_same_seed_trains_the_same_whatever_the_threads(images):
    one, first = trained(images)
    other, second = trained(images, replace(CONFIG, num_workers=2))

    assert first == second
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    _, third = trained(images, replace(CONFIG, seed=3))
    assert third.train_losses != first.train_losses


def test_cosine_leaves_something_and_step_is_the_originals():
    config = replace(CONFIG, epochs=50, learning_rate=1.0)
    rates = [learning_rate(epoch, config) for epoch in range(50)]
    steps = [learning_rate(epoch, replace(config, schedule="step")) for epoch in (0, 9, 10, 49)]

    assert rates[0] == 1.0
    assert rates[-1] == pytest.approx(0.01)
    assert rates == sorted(rates, reverse=True)
    assert steps == pytest.approx([1.0, 1.0, 0.1, 1e-4])
    assert learning_rate(0, replace(config, epochs=1)) == 1.0


def found(accuracy, loss):
    return replace(measure([[0.0, 1.0]], [1]), accuracy=accuracy, loss=loss)


def test_the_best_epoch_stays_and_training_ends_when_none_is_better(images):
    course = [found(0.5, 1.0), found(0.8, 0.9), found(0.8, 0.7), found(0.7, 0.1), found(0.8, 0.7), found(1.0, 0.1)]
    states = []

    def look(net, *rest):
        states.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
        return course[len(states) - 1]

    with mock.patch.object(classifier_training, "evaluate", look):
        net, ended = trained(images, replace(CONFIG, epochs=6, patience=2))

    assert ended.best_epoch == 3
    assert len(ended.val_losses) == 5
    assert ended.val_accs[:2] == [50.0, 80.0]
    torch.testing.assert_close(net.state_dict(), states[2], rtol=0, atol=0)


def test_without_patience_every_epoch_is_trained(images):
    with mock.patch.object(classifier_training, "evaluate", return_value=found(0.5, 1.0)):
        _, course = trained(images, replace(CONFIG, epochs=4, patience=None))

    assert len(course.train_losses) == 4


def test_evaluation_gives_the_same_in_batches_and_one_by_one(images):
    net = start_net("tiny", "random", 1)

    one, other = (evaluate(net, images, VIEW, size, 0, CPU, ALONE) for size in (1, 7))

    assert one.confusion == other.confusion
    assert one.loss == pytest.approx(other.loss, abs=1e-5)


def test_a_loss_that_is_not_finite_stops_the_training(images):
    with pytest.raises(RunStopped, match=r"the loss of epoch 1 is nan; lower --learning_rate 1e\+30"):
        trained(images, replace(CONFIG, learning_rate=1e30))


def test_an_image_that_goes_away_stops_the_training(images, tmp_path):
    gone = Images([*images.paths[:-1], tmp_path / "gone.png"], images.labels)

    with pytest.raises(RunStopped, match=r"was readable is not any more: .*gone.png` does not exist"):
        trained(gone)


def test_too_many_processes_for_the_rows_are_one_line(images):
    net = start_net("tiny", "random", 1)

    with pytest.raises(ConfigError, match=r"batch_size 4 and 10 training images are too few for 2 processes"):
        train(net, {"train": images}, VIEW, CONFIG, CPU, Shard(0, 2))


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("epochs", 0, "epochs is 0; it is 1 or more"),
        ("patience", 0, "patience is 0; it is 1 or more"),
        ("batch_size", 2, "batch_size is 2; it is 4 or more"),
        ("image_size", 8, "image_size is 8; it is 16 or more"),
        ("num_workers", -1, "num_workers is -1; it is 0 or more"),
        ("learning_rate", 0.0, "learning_rate is 0; it is above 0"),
        ("val_share", 1.0, "val_share is 1; it is a part of the images, between 0 and 1"),
    ],
)
def test_an_option_that_cannot_work_is_told_before_images_are_read(option, value, line):
    with pytest.raises(ConfigError, match=line):
        replace(CONFIG, **{option: value})
