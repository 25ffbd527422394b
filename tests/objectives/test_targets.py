"""Learning targets and categorical policies, by numbers worked on paper."""

from __future__ import annotations

import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from rlparity.nn.distributions import categorical
from rlparity.objectives import targets

pytestmark = pytest.mark.paper

GAMMA, LAM = 0.9, 0.8


def row(*values: float) -> Tensor:
    """One seed and one sub-environment: (1, 1, T)."""
    return torch.tensor(values).view(1, 1, -1)


def test_gae_cuts_its_sum_at_every_end_and_bootstraps_only_where_the_task_goes_on():
    """Steps: ordinary, cut by a time limit, true end, cut by the end of the rollout; gamma = lambda = 1/2.

    delta = (1 + 2/2 - 1, 2 + 2/2 - 1, 3 + 0 - 1, 4 + 2/2 - 1) = (1, 2, 2, 4); only the first looks ahead:
    A_0 = 1 + 1/4 * 2.
    """
    advantage = targets.gae(
        reward=row(1, 2, 3, 4),
        value=row(1, 1, 1, 1),
        next_value=row(2, 2, 2, 2),
        discount=row(1, 1, 0, 1),
        last=row(0, 1, 1, 0),
        gamma=0.5,
        lam=0.5,
    )
    assert advantage.flatten().tolist() == [1.5, 2, 2, 4]


def test_gae_with_lambda_one_is_the_discounted_return_minus_the_value():
    """1 + 0.9 + 0.81 + 0.729 * 10 = 10: an environment of endless reward 1."""
    ones = row(1, 1, 1)
    advantage = targets.gae(ones, row(4, 5, 6), row(5, 6, 10), ones, row(0, 0, 0), 0.9, 1.0)
    assert advantage.flatten().tolist() == pytest.approx([6, 5, 4])


def test_gae_with_lambda_zero_is_the_temporal_difference_error():
    advantage = targets.gae(row(1, 2), row(3, 4), row(4, 5), row(1, 1), row(0, 0), 0.5, 0.0)
    assert advantage.flatten().tolist() == [1 + 2 - 3, 2 + 2.5 - 4]


def test_gae_is_stable_baselines3s_with_time_limits_folded_into_the_rewards():
    """S = 2 seeds, N = 3 sub-environments, T = 64 random steps with ends and cuts among them."""
    seeds, n_envs, n_steps = 2, 3, 64
    rng = np.random.default_rng(0)
    shape = (seeds, n_envs, n_steps)
    reward, value, beyond = rng.normal(size=(3, *shape)).astype(np.float32)
    last = rng.random(shape) < 0.15
    ended = last & (rng.random(shape) < 0.5)
    following = np.concatenate([value[..., 1:], beyond[..., -1:]], -1)
    next_value = np.where(last, beyond, following)
    assert (last & ~ended).sum() > 10 < ended.sum()
    fields = (reward, value, next_value, (~ended).astype(np.float32), last.astype(np.float32))
    ours = targets.gae(*map(torch.from_numpy, fields), GAMMA, LAM)
    for s in range(seeds):
        buffer = RolloutBuffer(
            n_steps, spaces.Box(-1, 1, (1,)), spaces.Discrete(2), "cpu", LAM, GAMMA, n_envs
        )
        folded = reward[s] + GAMMA * next_value[s] * (last & ~ended)[s]
        starts = np.concatenate([np.zeros((n_envs, 1)), last[s, :, :-1]], -1)
        buffer.rewards, buffer.values, buffer.episode_starts = folded.T, value[s].T, starts.T
        buffer.compute_returns_and_advantage(torch.from_numpy(beyond[s, :, -1]), last[s, :, -1])
        np.testing.assert_allclose(ours[s].numpy(), buffer.advantages.T, rtol=1e-5, atol=1e-6)


def test_gae_refuses_shapes_that_would_broadcast():
    ones = row(1, 1)
    with pytest.raises(AssertionError):
        targets.gae(ones, ones, ones, ones, torch.zeros(1, 1, 1), 0.9, 0.9)


def test_rewards_to_go():
    reward = torch.tensor([1.0, 2.0, 4.0])
    assert targets.rewards_to_go(reward, 1.0).tolist() == [7, 6, 4]
    assert targets.rewards_to_go(reward, 0.5).tolist() == [1 + 1 + 1, 2 + 2, 4]
    assert targets.rewards_to_go(reward, 0.0).tolist() == [1, 2, 4]


def test_td_target_takes_the_maximum_of_each_row_and_none_where_the_task_ended():
    """S = 1, B = 2: y = 1 + 0.9 * 5 and 2 + 0; 7 is the largest value of another row."""
    next_q = torch.tensor([[[3.0, 5.0], [7.0, 6.0]]])
    y = targets.td_target(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]), next_q, next_q, 0.9)
    assert y.tolist() == [[pytest.approx(5.5), 2.0]]


def test_double_td_target_lets_the_online_network_choose():
    """The online network prefers action 0, which the target network values at 3, not at 5."""
    next_q, online = torch.tensor([[[3.0, 5.0]]]), torch.tensor([[[2.0, 1.0]]])
    y = targets.td_target(torch.ones(1, 1), torch.ones(1, 1), next_q, online, 0.5)
    assert y.tolist() == [[1 + 0.5 * 3]]


def test_td_target_refuses_shapes_that_would_broadcast():
    q = torch.zeros(1, 4, 2)
    with pytest.raises(AssertionError):
        targets.td_target(torch.zeros(1, 4, 1), torch.ones(1, 4), q, q, 0.9)


def test_explained_variance():
    truth = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    prediction = torch.tensor([[1.0, 2.0, 3.0], [9.0, 9.0, 9.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    values = targets.explained_variance(prediction, truth).tolist()
    assert values[:3] == [1.0, 0.0, -3.0]  # truth - prediction is (-2, 0, 2): variance 4 against 1
    assert np.isnan(values[3])


def test_sample_inverts_the_cumulative_distribution_at_its_exact_edges():
    uniform = torch.tensor([0.0, 0.25 - 2**-24, 0.25, 0.5, 0.75, 1 - 2**-24])
    action = categorical.sample(torch.zeros(6, 4), uniform)
    assert action.tolist() == [0, 0, 1, 2, 3, 3]


def test_sample_never_takes_an_action_of_probability_zero():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf])
    uniform = torch.tensor([0.0, 0.5, 1 - 2**-24])
    assert categorical.sample(logits.expand(3, 3), uniform).tolist() == [1, 1, 1]


def test_sample_frequencies_are_the_probabilities():
    """Evenly spread uniform numbers: of 10,000, each action gets its probability's share."""
    probability = torch.tensor([0.1, 0.2, 0.7])
    uniform = (torch.arange(10_000) + 0.5) / 10_000
    action = categorical.sample(probability.log().expand(2, 10_000, 3), uniform.expand(2, -1))
    for counts in (action[0].bincount(), action[1].bincount()):
        assert counts.tolist() == pytest.approx([1000, 2000, 7000], abs=1)


def test_log_prob_and_entropy_are_torchs():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 5, 4, generator=generator)
    action = torch.randint(4, (2, 5), generator=generator)
    truth = torch.distributions.Categorical(logits=logits)
    log_prob, entropy = categorical.log_prob_and_entropy(logits, action)
    torch.testing.assert_close(log_prob, truth.log_prob(action))
    torch.testing.assert_close(entropy, truth.entropy())
    assert torch.equal(categorical.log_prob(logits, action), log_prob)


def test_entropy_of_certainty_and_of_ignorance():
    _, entropy = categorical.log_prob_and_entropy(
        torch.tensor([[0.0, 200.0], [1.0, 1.0]]), torch.zeros(2, dtype=torch.long)
    )
    assert entropy.tolist() == pytest.approx([0.0, np.log(2)])
