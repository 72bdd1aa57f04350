import pytest
import torch
from torch import nn

from merv.filters.classifier_net import build_net
from merv.filters.classifier_scoring import Scorer, folded

CPU = torch.device("cpu")


@pytest.fixture(params=["tiny", "resnet18", "resnet50"])
def net(request):
    """A net whose batch norms have seen something."""
    torch.manual_seed(3)
    made = build_net(request.param)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return made


def test_no_batch_norm_is_left_and_the_net_itself_stays_as_it_is(net):
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    made = folded(net)

    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_folding_changes_nothing_but_the_last_digits(net):
    images = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        expected = net.eval()(images).softmax(1)

    torch.testing.assert_close(Scorer(net, CPU)(images), expected, atol=1e-5, rtol=1e-4)


def test_an_image_is_scored_the_same_whatever_stands_beside_it(net):
    images = torch.randn(5, 3, 64, 64)
    score = Scorer(net, CPU)

    torch.testing.assert_close(torch.cat([score(image[None]) for image in images]), score(images), atol=1e-6, rtol=0)


def test_bfloat16_stays_near(net):
    images = torch.randn(4, 3, 64, 64)

    found = Scorer(net, CPU, "bfloat16")(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, Scorer(net, CPU)(images), atol=0.05, rtol=0)
