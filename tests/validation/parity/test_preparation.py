"""Parity of `prepare(rollout)`: Stable-Baselines3's PPO as a candidate, unchanged, rewritten and faulty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import Logger
from torch import Tensor

from rlparity.references import sb3_models
from rlparity.validation import checks
from rlparity.validation.paired_models import difference
from rlparity.validation.parity import candidate_checks, candidates, cases
from rlparity.validation.parity.candidate_cases import of as candidate_cases_of
from rlparity.validation.parity.environments import Constant
from rlparity.validation.parity.preparation import check as preparation
from rlparity.validation.parity.preparation import reference, rollouts
from rlparity.validation.parity.preparation.reference import Rollout, from_definition, from_sb3

pytestmark = pytest.mark.probes
torch.set_num_threads(1)
Numbers = dict[str, Any]  # a rollout, or what is made of it, as arrays by name


class SB3PPO:
    """Stable-Baselines3's PPO as a candidate: its buffer prepares, its `train` updates."""

    def __init__(self, observation_space: gym.Space, action_space: gym.Space, hp: Mapping[str, Any]):
        self.hp = dict(hp)
        n_envs, _ = self.hp.pop("n_envs"), self.hp.pop("normalize")
        self.hp.pop("precision")
        env = Constant(action_space)
        env.observation_space = observation_space
        self.model: Any = PPO("MlpPolicy", env, device="cpu", **sb3_models.keywords(self.hp))
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.model.rollout_buffer = RolloutBuffer(
            self.hp["n_steps"],
            observation_space,
            action_space,
            "cpu",
            gae_lambda=self.hp["gae_lambda"],
            gamma=self.hp["gamma"],
            n_envs=n_envs,
        )

    def train(self, make_env: Any, seed: int, budget: int) -> None: ...

    def act(self, obs: np.ndarray, deterministic: bool) -> Any:
        return self.model.predict(obs, deterministic=deterministic)[0]

    def prepare(self, rollout: Mapping[str, Tensor]) -> Numbers:
        given = {name: field.numpy() for name, field in rollout.items()}
        buffer = self.model.rollout_buffer
        buffer.reset()
        stopped = given["terminated"] + given["truncated"]
        buffer.rewards[:] = given["rewards"] + self.hp["gamma"] * given["truncated"] * given["final_values"]
        buffer.values[:] = given["values"]
        buffer.episode_starts[1:] = stopped[:-1]
        buffer.compute_returns_and_advantage(torch.as_tensor(given["last_values"]), stopped[-1] > 0)
        return {"advantages": buffer.advantages, "returns": buffer.returns}

    def load_reference(self, state: Mapping[str, Tensor]) -> None:
        self.model.policy.load_state_dict(dict(state), strict=False)
        self.model.policy.optimizer.state.clear()

    def reference_state(self) -> Mapping[str, Tensor]:
        return dict(self.model.policy.state_dict())

    def update(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> dict[str, float]:
        buffer = self.model.rollout_buffer
        names = {"values": "old_values", "log_probs": "old_log_prob"}
        for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
            column = batch[names.get(name, name)].numpy()
            setattr(buffer, name, column.reshape(len(column), -1))
        buffer.full = buffer.generator_ready = True
        self.model._current_progress_remaining = draws["progress_remaining"]
        orders = iter(draws["permutations"].numpy())
        with mock.patch.object(np.random, "permutation", lambda n: next(orders)):
            self.model.train()
        logged = self.model.logger.name_to_value
        return {"policy_loss": logged["train/policy_gradient_loss"], "value_loss": logged["train/value_loss"]}


# --- the references


@pytest.mark.parametrize("given", rollouts.given(), ids=str)
def test_the_two_references_agree(given: rollouts.Given) -> None:
    made = [make(given.rollout, given.gamma, given.gae_lambda) for make in (from_sb3, from_definition)]
    for ours, theirs in zip(*made, strict=True):
        assert difference(ours, theirs) < 1e-14


def test_a_rollout_worked_out_by_hand() -> None:
    """Two steps, gamma 0.5, lambda 0.5. Sub-environment 1 goes on, 2 ends in step 1, 3 is cut in step 2."""
    columns = [[[1, 2, 3], [4, 5, 6]], [[2, 4, 6], [8, 10, 12]], [[0, 1, 0], [0, 0, 0]]]
    columns += [[[0, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 20]]]
    given = Rollout(*(torch.tensor(x, dtype=torch.float64) for x in [*columns, [6, 8, 100]]))
    #  1: delta 1 + 4 - 2 = 3 and 4 + 3 - 8 = -1;   2: 2 - 4 = -2 and 5 + 4 - 10 = -1;
    #  3: 3 + 6 - 6 = 3 and 6 + 10 - 12 = 4
    advantages = torch.tensor([[3 - 0.25, -2, 3 + 1], [-1, -1, 4]], dtype=torch.float64)
    for made in (from_sb3(given, 0.5, 0.5), from_definition(given, 0.5, 0.5)):
        assert torch.equal(made.advantages, advantages)
        assert torch.equal(made.returns, advantages + given.values)


@pytest.mark.parametrize("continuous", [False, True])
def test_stable_baselines3s_collector_makes_the_same_of_a_real_rollout(continuous: bool) -> None:
    """Its own loop, in environments whose episodes end and are cut off."""
    case = candidate_cases_of("ppo", "continuous" if continuous else "discrete")[0].case
    model: Any = case.pair(torch.float32).model
    seen: list[tuple[Any, ...]] = []
    step_wait = model.env.step_wait

    def recorded() -> Any:
        found = step_wait()
        _, rewards, dones, infos = found
        cut = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        final = [info.get("terminal_observation", np.zeros_like(found[0][0])) for info in infos]
        with torch.no_grad():
            values = model.policy.predict_values(torch.as_tensor(np.stack(final)))[:, 0].numpy()
        seen.append((rewards.copy(), dones & ~cut, cut, values * cut))
        return found

    with mock.patch.object(model.env, "step_wait", recorded), torch.no_grad():
        _, callback = model._setup_learn(1000)
        kinds = [0.0, 0.0]
        for _ in range(6):
            seen.clear()
            model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
            buffer = model.rollout_buffer
            last = model.policy.predict_values(torch.as_tensor(model._last_obs))[:, 0]
            r, ended, cut, final = (
                torch.as_tensor(np.stack(x), dtype=torch.float32) for x in zip(*seen, strict=True)
            )
            kinds = [kinds[0] + float(ended.sum()), kinds[1] + float(cut.sum())]
            given = Rollout(r, torch.as_tensor(buffer.values), ended, cut, final, last)
            made = from_sb3(given, model.gamma, model.gae_lambda)
            assert difference(made.advantages, torch.as_tensor(buffer.advantages)) < 1e-6
            assert difference(made.returns, torch.as_tensor(buffer.returns)) < 1e-6
    assert min(kinds) > 0  # both kinds of end


# --- Stable-Baselines3's PPO as a candidate


def parity(factory: Any, actions: str = "discrete", updates: Sequence[int] = (1,)) -> list[checks.Check]:
    """All checks, of few updates."""
    compared = candidate_cases_of("ppo", actions)
    offered = candidates.offered(factory), candidates.offers_prepare(factory)
    return candidate_checks.check(factory, compared, *offered, updates=updates)


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_its_own_ppo_passes_everything_and_everything_is_looked_at(actions: str) -> None:
    found = parity(SB3PPO, actions, (10,))  # early stops included
    assert all(check.passed and check.looked for check in found), found
    assert len(found) == 9 and checks.unseen(found) == ""
    assert "parameters 0e+00" in found[0].detail


def made_with(change: Callable[[SB3PPO, Numbers], Numbers]) -> Callable[..., list[checks.Check]]:
    """Checks of `prepare` of SB3's PPO after this change."""

    class Changed(SB3PPO):
        def prepare(self, rollout: Mapping[str, Tensor]) -> Numbers:
            return change(self, dict(rollout))

    def build(options: Mapping[str, Any], n_envs: int) -> Any:
        base = {**cases.PPO, "precision": "float32", "normalize": False, "n_envs": n_envs, **options}
        return Changed(gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2), base)

    return lambda dtype="float32": preparation.check(build, "ppo", dtype)


def plain(made: SB3PPO, rollout: Numbers) -> Numbers:
    return {name: np.array(x) for name, x in SB3PPO.prepare(made, rollout).items()}


def with_setting(name: str, value: float) -> Callable[[SB3PPO, Numbers], Numbers]:
    def change(made: SB3PPO, rollout: Numbers) -> Numbers:
        made.hp[name] = value
        setattr(made.model.rollout_buffer, name, value)
        return plain(made, rollout)

    return change


def with_rollout(change: Callable[[Numbers], Numbers]) -> Callable[[SB3PPO, Numbers], Numbers]:
    return lambda made, rollout: plain(made, {**rollout, **change(rollout)})


def with_result(change: Callable[[Numbers], Numbers]) -> Callable[[SB3PPO, Numbers], Numbers]:
    def changed(made: SB3PPO, rollout: Numbers) -> Numbers:
        found = plain(made, rollout)
        return {**found, **change(found)}

    return changed


def unmasked_recursion(made: SB3PPO, rollout: Numbers) -> Numbers:
    """Errors are masked at ends, and the sum goes on over them."""
    one_step = made.model.rollout_buffer.gae_lambda
    made.model.rollout_buffer.gae_lambda = 0.0
    delta = plain(made, rollout)["advantages"]
    for t in reversed(range(len(delta) - 1)):
        delta[t] += made.hp["gamma"] * one_step * delta[t + 1]
    return {"advantages": delta, "returns": delta + rollout["values"].numpy()}


def normalised_over_time(found: Numbers) -> Numbers:
    a = found["advantages"]
    return {"advantages": (a - a.mean(0)) / (a.std(0) + 1e-8)}


def rewards_to_go(made: SB3PPO, rollout: Numbers) -> Numbers:
    """Sums of rewards without values, but for the last."""
    following, found = rollout["last_values"], []
    for t in reversed(range(len(rollout["rewards"]))):
        goes_on = 1 - rollout["terminated"][t] - rollout["truncated"][t]
        cut = rollout["truncated"][t] * rollout["final_values"][t]
        following = rollout["rewards"][t] + made.hp["gamma"] * (goes_on * following + cut)
        found.append(following)
    returns = torch.stack(found[::-1])
    return {"advantages": returns - rollout["values"], "returns": returns}


def shifted(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def after_the_limit(rollout: Numbers) -> Numbers:
    following = torch.cat([rollout["values"][1:], rollout["last_values"][None]])
    return {"final_values": rollout["truncated"] * following}


def not_cut(rollout: Numbers) -> Numbers:
    return {"truncated": 0 * rollout["truncated"]}


FAULTS = {
    "nothing is discounted": (with_setting("gamma", 1.0), "ends"),
    "gamma is always 0.99": (with_setting("gamma", 0.99), "ends"),
    "lambda is always 1": (with_setting("gae_lambda", 1.0), "ends"),
    "lambda is always 0.95": (with_setting("gae_lambda", 0.95), "ends"),
    "time limits are ends": (with_rollout(lambda r: {"final_values": 0 * r["values"]}), "time limits"),
    "time limits go on": (with_rollout(not_cut), "time limits"),
    "time limits bootstrap from the new episode": (with_rollout(after_the_limit), "time limits"),
    "time limits bootstrap undiscounted": (
        with_rollout(lambda r: {"rewards": r["rewards"] + 0.1 * r["truncated"] * r["final_values"]}),
        "time limits",
    ),
    "the last value is not used": (with_rollout(lambda r: {"last_values": 0 * r["last_values"]}), "ends"),
    "ends are overlooked": (with_rollout(lambda r: {"terminated": 0 * r["terminated"]}), "ends"),
    "an end at the last step is overlooked": (
        with_rollout(lambda r: {"terminated": torch.cat([r["terminated"][:-1], 0 * r["values"][:1]])}),
        "ends",
    ),
    "ends arrive a step late": (with_rollout(lambda r: {"terminated": shifted(r["terminated"])}), "ends"),
    "ends do not stop the sum": (unmasked_recursion, "ends"),
    "rewards are those of the step before": (
        with_rollout(lambda r: {"rewards": shifted(r["rewards"])}),
        "ends",
    ),
    "rewards are clipped": (
        with_rollout(lambda r: {"rewards": r["rewards"].clamp(-3, 3)}),
        "size of rewards",
    ),
    "advantages are those of the next step": (
        with_result(lambda found: {"advantages": np.roll(found["advantages"], -1, 0)}),
        "ends",
    ),
    "advantages are normalised over time": (with_result(normalised_over_time), "ends"),
    "advantages are in half precision": (
        with_result(lambda found: {"advantages": torch.as_tensor(found["advantages"]).bfloat16().float()}),
        "ends",
    ),
    "sub-environments are mixed": (
        with_result(lambda found: {"advantages": found["advantages"].T.reshape(found["advantages"].shape)}),
        "ends",
    ),
    "returns are advantages": (with_result(lambda found: {"returns": found["advantages"]}), "ends"),
    "returns are sums of rewards": (rewards_to_go, "ends"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_what_it_makes_of_a_rollout_is_caught(name: str) -> None:
    change, group = FAULTS[name]
    found = {check.name: check for check in made_with(change)()}
    first = found[f"ppo, advantages: {group} (float32)"]
    assert not first.passed and "first difference: " in first.detail, found


def by_triangle(made: SB3PPO, rollout: Numbers) -> Numbers:
    """All advantages as one product with a triangle of decays."""
    gamma, decay = made.hp["gamma"], made.hp["gamma"] * made.hp["gae_lambda"]
    r = Rollout(**rollout)
    n_steps, n_envs = r.rewards.shape
    following = torch.cat([r.values[1:], r.last_values[None]])
    following = torch.where(r.truncated > 0, r.final_values, following) * (1 - r.terminated)
    delta = r.rewards + gamma * following - r.values
    found = torch.empty_like(delta)
    for n in range(n_envs):
        episode = torch.cat([torch.zeros(1), (r.terminated + r.truncated)[:-1, n]]).cumsum(0)
        power = torch.arange(n_steps)[None] - torch.arange(n_steps)[:, None]
        within = (power >= 0) & (episode[None] == episode[:, None])
        found[:, n] = (decay ** power.clamp(min=0).to(delta.dtype) * within) @ delta[:, n]
    return {"advantages": found, "returns": found + r.values}


def by_lambda_returns(made: SB3PPO, rollout: Numbers) -> Numbers:
    """G_t = r + gamma ((1 - lambda) V' + lambda G_(t+1)); advantages are G - V."""
    gamma, mix = made.hp["gamma"], made.hp["gae_lambda"]
    r = Rollout(**rollout)
    following, found = r.last_values, []
    values = torch.cat([r.values, r.last_values[None]])
    for t in reversed(range(len(r.rewards))):
        inner = (1 - mix) * values[t + 1] + mix * following
        bootstrap = torch.where(r.truncated[t] > 0, r.final_values[t], inner) * (1 - r.terminated[t])
        following = r.rewards[t] + gamma * bootstrap
        found.append(following)
    returns = torch.stack(found[::-1])
    return {"advantages": (returns - r.values).tolist(), "returns": returns}


@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        (plain, "float32"),  # as its buffer is
        *((change, dtype) for change in (by_triangle, by_lambda_returns) for dtype in ("float32", "float64")),
    ],
)
def test_what_is_only_written_otherwise_raises_no_alarm(change: Any, dtype: str) -> None:
    found = made_with(change)(dtype)
    assert [check.passed for check in found] == [True] * len(rollouts.GROUPS), found


# --- what is not offered, and what has another form


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_result(lambda found: {"returns": found["returns"].ravel()}), "of shape (48,); expected"),
        (
            lambda made, rollout: {"advantages": plain(made, rollout)["advantages"]},
            "prepare left out returns",
        ),
        (lambda made, rollout: 3, "prepare gave a int; expected a mapping"),
    ],
)
def test_another_form_is_named(change: Any, message: str) -> None:
    first = made_with(change)()[0]
    assert not first.passed and message in first.detail, first


def test_references_that_disagree_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "from_sb3", lambda rollout, *_: from_definition(rollout, 0.5, 0.5))
    first = made_with(plain)()[0]
    assert not first.passed and first.detail.startswith("References: Stable-Baselines3 and the definition")


class NoUpdate(SB3PPO):
    update = None  # type: ignore[assignment]


class NoPrepare(SB3PPO):
    prepare = None  # type: ignore[assignment]


class NoOptions(SB3PPO):
    def __init__(self, observation_space: Any, action_space: Any, hp: Mapping[str, Any]):
        for name in ("clip_range_vf", "target_kl"):
            if hp[name] is not None:
                raise NotImplementedError(f"{name} is not offered")
        super().__init__(observation_space, action_space, hp)


class NothingPlain(SB3PPO):
    def update(self, batch: Any, draws: Any) -> dict[str, float]:
        raise NotImplementedError


def test_what_is_not_looked_at_is_named() -> None:
    found = parity(NoPrepare)
    assert checks.unseen(found) == "advantages, gamma, lambda, time limits not looked at"
    assert len(found) == 6 and all(check.passed for check in found)
    found = parity(NoUpdate)
    assert checks.unseen(found) == (
        "update, entropy bonus, clipped values, target KL, linear schedules not looked at"
    )
    assert [check.looked for check in found] == [True] * 4 + [False]


def test_a_candidate_may_decline_an_option_and_not_the_plain_update() -> None:
    found = parity(NoOptions)
    assert checks.unseen(found) == "clipped values, target KL not looked at"
    assert found[2].detail == "declined: clip_range_vf is not offered"
    plain_one, *others = parity(NothingPlain)[:5]
    assert not plain_one.passed and plain_one.detail == "NotImplementedError: no message"
    assert not any(check.looked for check in others)


def test_reference_module_is_precise_in_float32() -> None:
    for given in rollouts.given():
        single = from_sb3(given.rollout.to(torch.float32), given.gamma, given.gae_lambda)
        exact = reference.from_definition(given.rollout, given.gamma, given.gae_lambda)
        assert max(difference(a, b) for a, b in zip(single, exact, strict=True)) < 2e-6
