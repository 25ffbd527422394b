"""Prioritised replay: sums, draws and weights, worked by hand and against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity.buffers.frame_replay import FrameReplay
from rlparity.buffers.prioritized import Priorities
from rlparity.training import object_state
from rlparity.transitions import Step

pytestmark = pytest.mark.paper


def places(*index: int) -> Tensor:
    return torch.tensor([index])


def given(*errors: float, capacity: int = 5, exponent: float = 1.0, epsilon: float = 0.0) -> Priorities:
    """Priorities of one seed that were told these TD errors, place by place."""
    priorities = Priorities(capacity, 1, exponent, epsilon)
    priorities.cover(0, len(errors))
    priorities.update(torch.arange(len(errors))[None], torch.tensor([errors], dtype=torch.float64))
    return priorities


def leaves(priorities: Priorities) -> list[list[float]]:
    return priorities.snapshot()["leaves"].tolist()


def test_a_place_is_drawn_as_often_as_its_priority_says():
    """Priorities 1, 2, 3, 4: of ten equal parts of their sum one is place 0's, two are place 1's, ..."""
    drawn = given(-1, 2, -3, 4).index(torch.full((1, 10), 0.5))
    assert drawn.tolist() == [[0, 1, 1, 2, 2, 2, 3, 3, 3, 3]]


def test_a_draw_stays_within_its_part_of_the_sum():
    """Two parts, 0 to 5 and 5 to 10; the sums are 1, 3, 6, 10."""
    priorities = given(1, 2, 3, 4)
    drawn = [priorities.index(torch.tensor([[u, u]])).tolist()[0] for u in (0, 0.19, 0.21, 0.59, 0.61, 0.999)]
    assert drawn == [[0, 2], [0, 2], [1, 3], [1, 3], [2, 3], [2, 3]]


def test_the_exponent_bends_priorities_and_epsilon_lifts_them():
    """(0 + 1)^0.5, (3 + 1)^0.5, (-8 - 1)^0.5."""
    assert leaves(given(0, 3, -8, exponent=0.5, epsilon=1.0)) == [[1, 2, 3, 0, 0]]
    assert leaves(given(5, 7, exponent=0.0)) == [[1, 1, 0, 0, 0]]


def test_weights_undo_the_bias_and_the_largest_is_one():
    """Beta 1: 1/p over the largest, 1/1; beta 0.5: its square root; beta 0: none. In a minibatch of its own,
    place 1 has the largest."""
    priorities = given(1, 4, 16)
    assert priorities.weights(places(0, 1, 2), 1.0).tolist() == [[1, 0.25, 0.0625]]
    assert priorities.weights(places(2, 1, 0), 0.5).tolist() == [[0.25, 0.5, 1]]
    assert priorities.weights(places(0, 1, 2), 0.0).tolist() == [[1, 1, 1]]
    assert priorities.weights(places(1, 2), 1.0).tolist() == [[1, 0.25]]


def test_weighted_draws_have_the_mean_of_uniform_ones():
    """Section 3.4: with beta 1, the sum of w_i x_i over draws by priority is that over all places but for a
    factor: 1, 2, 3, 4 drawn 1, 2, 3, 4 times, each place weighs 1 in all."""
    priorities = given(1, 2, 3, 4)
    drawn = priorities.index(torch.full((1, 10), 0.5))
    total = torch.zeros(4).index_add(0, drawn[0], priorities.weights(drawn, 1.0)[0])
    assert torch.allclose(total, torch.ones(4))


def test_new_transitions_get_the_largest_priority_so_far():
    priorities = Priorities(5, 2, 1.0, 0.0)
    priorities.cover(0, 2)
    assert leaves(priorities) == [[1, 1, 0, 0, 0]] * 2
    priorities.update(torch.tensor([[0], [1]]), torch.tensor([[7.0], [0.5]]))
    priorities.cover(0, 3)
    assert leaves(priorities) == [[7, 1, 7, 0, 0], [1, 0.5, 1, 0, 0]]
    priorities.update(torch.tensor([[0], [0]]), torch.tensor([[2.0], [3.0]]))
    priorities.cover(0, 4)
    assert leaves(priorities) == [[2, 1, 7, 7, 0], [3, 0.5, 1, 3, 0]]


def test_places_across_the_seam_are_forgotten_and_filled_again():
    """Capacity 5; numbers 3 to 6 lie at places 3, 4, 0, 1."""
    priorities = given(1, 2, 3, 4, 5)
    priorities.cover(3, 7)
    assert leaves(priorities) == [[5, 5, 0, 4, 5]]
    priorities.cover(6, 7)
    assert leaves(priorities) == [[0, 5, 0, 0, 0]]
    assert priorities.index(torch.tensor([[0.0, 0.5, 1 - 2**-24]])).tolist() == [[1, 1, 1]]
    priorities.cover(20, 25)  # all that was there has gone
    assert leaves(priorities) == [[5] * 5]


def test_a_priority_of_nobody_is_never_drawn():
    """Many priorities that binary fractions cannot hold, with gaps: rounding must not lead into one."""
    rng = torch.Generator().manual_seed(0)
    priorities = Priorities(100, 3, 0.6, 0.1)
    priorities.cover(0, 100)
    priorities.cover(37, 100)
    for _ in range(30):
        drawn = priorities.index(torch.rand(3, 50, generator=rng))
        assert drawn.min() >= 37 and drawn.max() < 100
        priorities.update(drawn, 10 ** (6 * torch.rand(3, 50, generator=rng) - 3))
    edges = priorities.index(torch.full((3, 1), 1 - 2**-24))
    assert (edges == 99).all()


@pytest.mark.parametrize("p", [(6.5, 0.027, 0.56, 0.065, 8.8), (0.17, 0.64, 3.2, 0.77, 8.2)])
def test_rounding_leads_to_nobody_either(p: tuple[float, ...]):
    """Where rounded sums leave more than the last place has: the largest number below 1."""
    assert given(*p, capacity=8).index(torch.tensor([[1 - 2**-53]], dtype=torch.float64)).tolist() == [[4]]


def used(n_seeds: int, rounds: int, seed: int = 0) -> Priorities:
    """Priorities after a while: a ring of 77 that went round several times; the seeds' numbers differ."""
    streams = [torch.Generator().manual_seed(100 * seed + s) for s in range(n_seeds)]
    priorities = Priorities(77, n_seeds)
    for last in range(5, 5 * rounds + 5, 5):
        priorities.cover(max(last - 70, 0), last)
        drawn = priorities.index(torch.stack([torch.rand(16, generator=rng) for rng in streams]))
        priorities.update(drawn, torch.stack([torch.randn(16, generator=rng) for rng in streams]))
    return priorities


def test_draws_follow_a_plain_cumulative_sum():
    for rounds in (1, 9, 60):
        priorities = used(2, rounds)
        uniform = torch.rand(2, 200, generator=torch.Generator().manual_seed(rounds))
        drawn = priorities.index(uniform)
        for s, p in enumerate(priorities.snapshot()["leaves"]):
            mass = (np.arange(200) + uniform[s].double().numpy()) / 200 * p.sum()
            assert drawn[s].tolist() == np.searchsorted(p.cumsum(), mass, side="right").tolist()


def test_frequencies_are_proportional_to_priorities():
    priorities = given(*(0.5 + torch.arange(30) % 7).tolist(), capacity=30, exponent=0.6)
    uniform = torch.rand(4000, 1, 32, generator=torch.Generator().manual_seed(0))
    counts = torch.cat([priorities.index(u)[0] for u in uniform]).bincount(minlength=30).numpy()
    expected = np.array(leaves(priorities)[0]) / np.sum(leaves(priorities)) * counts.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 60  # chi squared, 29 degrees of freedom: p < 0.001


def test_a_seed_alone_is_the_seed_in_a_block_to_the_last_bit():
    alone, block = used(1, 60), used(3, 60)
    uniform = torch.rand(3, 32, generator=torch.Generator().manual_seed(9))
    drawn = block.index(uniform)
    assert torch.equal(alone.index(uniform[:1]), drawn[:1])
    assert torch.equal(alone.weights(drawn[:1], 0.4), block.weights(drawn, 0.4)[:1])
    assert np.array_equal(alone._tree[0], block._tree[0])
    assert not np.array_equal(block._tree[0], block._tree[1])


def test_an_error_that_is_not_finite_changes_nothing():
    priorities = given(1, 2, 3, 4)
    priorities.update(places(0, 1, 2), torch.tensor([[float("nan"), float("inf"), 9]]))
    assert leaves(priorities) == [[1, 2, 9, 4, 0]]
    priorities.cover(0, 5)
    assert leaves(priorities) == [[1, 2, 9, 4, 9]]


def test_priorities_go_on_from_a_checkpoint_to_the_last_bit():
    priorities, copy = used(2, 60), Priorities(77, 2)
    object_state.restore(copy, object_state.capture(priorities))
    for other in (priorities, copy):
        other.cover(250, 303)
        other.update(torch.tensor([[25, 30], [26, 40]]), torch.tensor([[1.5, 2.5], [3.5, 4.5]]))
    assert np.array_equal(copy._tree, priorities._tree) and priorities._tree.any()
    assert np.array_equal(copy._largest, priorities._largest)


@pytest.mark.parametrize(("n_steps", "counts"), [(1, [2, 4, 6, 18, 12]), (3, [0, 0, 2, 14, 8])])
def test_what_a_memory_of_frames_cannot_give_is_not_drawn(n_steps: int, counts: list[int]):
    """N = 2, capacity 12 and three rows more. After 1, 2, 3, 9 and 10 rows: the tenth overwrites the
    first, whose frames the next three needed. The newest two rows are no windows of three steps yet."""
    memory = FrameReplay(12, 1, 2)
    priorities = Priorities(memory.capacity, 1)
    obs, one = torch.zeros(1, 2, 4, 1, 1, dtype=torch.uint8), torch.ones(1, 2)
    found = []
    for t in range(10):
        memory.add(Step(obs, torch.full((1, 2), t), one, one, 1 - one, obs))
        priorities.cover(*memory.drawable(n_steps))
        found.append(np.count_nonzero(leaves(priorities)))
    assert [found[t] for t in (0, 1, 2, 8, 9)] == counts
    drawn = priorities.index(torch.rand(1, 64, generator=torch.Generator().manual_seed(0)))
    assert set(memory.at(drawn).action[0].tolist()) == set(range(4, 11 - n_steps))
