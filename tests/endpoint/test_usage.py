import pytest

from merv.endpoint.usage import Usage, check_prices
from merv.errors import ConfigError


def test_tokens_add_up_and_cost_by_the_million():
    usage = Usage(2_000_000, 500_000) + Usage(1_000_000, 500_000)

    assert usage == Usage(3_000_000, 1_000_000)
    assert usage.cost([0.15, 0.6]) == pytest.approx(1.05)


@pytest.mark.parametrize("prices", [[], [1.0], [1.0, 2.0, 3.0], [-1.0, 1.0], [1.0, float("nan")]])
def test_prices_that_are_none_are_refused(prices):
    with pytest.raises(ConfigError, match=r"price_per_million is \[.*\]; give two prices"):
        check_prices(prices)
