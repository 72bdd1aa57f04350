import pytest
import torch
from torch import nn

from merv.filters.classifier_net import Step, StepDropout, StepNorm, build_net, within_step


@pytest.mark.parametrize("arch", ["tiny", "resnet18"])
def test_a_net_gives_two_logits_an_image(arch):
    assert build_net(arch).eval()(torch.rand(2, 3, 32, 32)).shape == (2, 2)


def test_names_and_shapes_are_those_of_the_original():
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in build_net("resnet50").state_dict().items()}

    head = {name: shape for name, shape in shapes.items() if name.startswith("fc.") and name.endswith("weight")}
    assert head == {"fc.0.weight": (512, 2048), "fc.3.weight": (256, 512), "fc.6.weight": (2, 256)}
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert shapes["bn1.running_mean"] == (64,)
    assert len(shapes) == 318 + 6


def test_of_one_process_the_norm_is_torchs_own():
    ours, torchs = StepNorm(3), nn.BatchNorm2d(3)
    images = torch.rand(4, 3, 5, 5)

    with within_step(ours, Step(num_rows=4)):
        torch.testing.assert_close(ours(images), torchs(images))
    assert ours.step is None


def test_each_process_takes_its_rows_of_one_mask():
    layer, rows = StepDropout(0.5), torch.ones(5, 8)

    def dropped(rank, size):
        with within_step(layer, Step(rank, size, 5, torch.Generator().manual_seed(3))):
            return layer(rows[rank::size])

    whole = dropped(0, 1)
    torch.testing.assert_close(whole[0::2], dropped(0, 2))
    torch.testing.assert_close(whole[1::2], dropped(1, 2))
    assert set(whole.unique().tolist()) == {0.0, 2.0}


def test_nothing_is_dropped_when_it_is_asked_for_answers():
    torch.testing.assert_close(StepDropout(0.5).eval()(torch.ones(2, 4)), torch.ones(2, 4))
