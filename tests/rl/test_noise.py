import torch

from merv.rl.noise import Gumbel, seed_of, warpers

CPU = torch.device("cpu")


def test_draws_follow_the_distribution():
    probabilities = torch.tensor([0.6, 0.3, 0.1])
    rows = 3000
    noise = Gumbel(range(rows), CPU)

    drawn = noise(None, probabilities.log().expand(rows, 3)).argmax(1)

    shares = torch.bincount(drawn, minlength=3) / rows
    torch.testing.assert_close(shares, probabilities, atol=0.03, rtol=0)  # three standard errors


def test_the_draw_of_a_row_depends_on_its_seed_and_on_no_neighbour():
    scores = torch.zeros(3, 50)

    alone = Gumbel([7], CPU)
    among = Gumbel([3, 7, 9], CPU)

    for _ in range(4):  # token after token
        assert torch.equal(alone(None, scores[:1])[0], among(None, scores)[1])


def test_seeds_depend_on_every_part():
    seeds = {
        seed_of(run, step, row, number) for run in (1, 2) for step in (1, 12) for row in (3, 23) for number in (0, 1)
    }

    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_only_the_likeliest_are_drawn_where_so_asked():
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(400, 4)

    def drawn(**options):
        chosen = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, **options}
        found = scores
        for step in warpers(**chosen, seeds=range(400), device=CPU):
            found = step(torch.zeros(400, 0, dtype=torch.long), found)
        return set(found.argmax(1).tolist())

    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_k=2) == {0, 1}
    assert drawn(top_p=0.7) == {0, 1}
    assert drawn(temperature=0.01) == {0}
