"""Real runs of Stable-Baselines3 and our agents in lock-step; planted bugs part them at once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.agents.continuous_control import td3
from rlparity.agents.value_based import dqn
from rlparity.buffers.replay import Replay
from rlparity.buffers.rollout import Rollout
from rlparity.environments.cartpole import CartPole
from rlparity.errors import UserError
from rlparity.nn.action_scaling import Bounds
from rlparity.nn.distributions import categorical
from rlparity.objectives import targets
from rlparity.reporting.pages import lockstep as lockstep_page
from rlparity.validation.lockstep import cases, random_draws
from rlparity.validation.lockstep import run as lockstep
from rlparity.validation.lockstep import table as lockstep_table
from rlparity.validation.lockstep.cases import Case
from rlparity.validation.lockstep.distance import RelativeDistance
from rlparity.validation.lockstep.pair import Difference, Point

pytestmark = pytest.mark.probes

torch.set_num_threads(1)
SHORT = cases.short
STEPS = {"a2c": 120, "ppo": 384, "trpo": 192, "dqn": 160, "ddpg": 220, "td3": 220, "sac": 220}


def brief(algorithm: str) -> Case:
    """The short case, reduced to a second; Pendulum's first episode is truncated after 200 steps."""
    case = replace(SHORT(algorithm)[0], env_steps=STEPS[algorithm])
    if case.environment == "CartPole-v1":
        return case
    return replace(case, hyperparameters={**case.hyperparameters, "learning_starts": 180})


@pytest.mark.parametrize("algorithm", cases.ALGORITHMS)
@pytest.mark.parametrize("own_actions", [False, True], ids=lockstep.MODES)
def test_our_agents_keep_step(algorithm: str, own_actions: bool):
    """The same observations, actions, rewards, returns, batches and parameters, to thirteen digits."""
    case = replace(brief(algorithm), tolerance=1e-12)
    found = lockstep.run(case, own_actions)
    assert found.first is None and found.verdict == "together"
    assert found.env_steps == case.env_steps
    assert found.updates == found.curve[-1].updates > 0
    assert found.truncated > 0  # a time limit occurred
    assert case.environment == "Pendulum-v1" or found.truncated < found.episodes


@pytest.mark.parametrize("algorithm", ["a2c", "ppo", "trpo"])
def test_gaussian_policies_keep_step(algorithm: str):
    """Among the updates are some with early stops and with line searches that fail."""
    case = SHORT(algorithm)[1]
    case = replace(case, env_steps=case.env_steps // 2, tolerance=1e-9 if algorithm == "trpo" else 1e-12)
    assert case.environment == "Pendulum-v1"
    found = lockstep.run(case, own_actions=True)
    assert found.first is None and found.updates >= 4 and found.truncated == 2


def parted(algorithm: str, own_actions: bool = False) -> Difference:
    found = lockstep.run(brief(algorithm), own_actions)
    assert found.first is not None, found
    assert found.verdict == "part"
    return found.first


Plant = Callable[[pytest.MonkeyPatch], None]


def wrapped(owner: Any, name: str, around: Callable[..., Any]) -> Plant:
    """Replace a function by `around(function, *arguments)`."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        function = getattr(owner, name)
        patch.setattr(owner, name, lambda *arguments, **words: around(function, *arguments, **words))

    return plant


def configured(agent: str, **changes: Any) -> Plant:
    """Let an agent be built with other hyper-parameters than SB3's."""

    def around(build: Any, self: Any, env: Any, config: Any, *rest: Any) -> None:
        build(self, env, replace(config, **changes), *rest)

    return wrapped(agents.agent_class(agent), "__init__", around)


def wrong_mask(gae: Any, reward: Any, value: Any, after: Any, discount: Any, last: Any, *rest: Any) -> Any:
    return gae(reward, value, after, discount, last.roll(1, -1), *rest)


def limit_ends(add: Any, memory: Any, step: Any) -> Any:
    return add(memory, step._replace(discount=1 - step.last))


def looks_beyond_resets(pop: Any, memory: Any) -> Any:
    rollout = pop(memory)
    beyond = torch.cat([rollout.obs[:, :, 1:], rollout.next_obs[:, :, -1:]], 2)
    return rollout._replace(next_obs=beyond)


def one_further(index: Any, memory: Any, *arguments: Any) -> Any:
    return (index(memory, *arguments) + 1) % memory.capacity


def one_update_early(build: Any, self: Any, *arguments: Any) -> None:
    build(self, *arguments)
    self.updates = 1


def epsilon_by_updates(patch: pytest.MonkeyPatch) -> None:
    epsilon = dqn.DQN.epsilon.fget

    def slower(self: Any) -> float:
        steps, self.env_steps = self.env_steps, self.env_steps // self.config.train_freq
        try:
            return epsilon(self)
        finally:
            self.env_steps = steps

    patch.setattr(dqn.DQN, "epsilon", property(slower))


FIRST_ROLLOUT, FIRST_UPDATE = 192, 64  # environment steps; Pendulum's first update comes after 184
BUGS: dict[str, tuple[str, Plant, str, int]] = {  # agent, plant, what differs first, and when
    "P1 the mask of GAE": ("ppo", wrapped(targets, "gae", wrong_mask), "advantage", FIRST_ROLLOUT),
    "P5 a limit ends": ("ppo", wrapped(Rollout, "add", limit_ends), "advantage", FIRST_ROLLOUT),
    "P7 V of the reset": ("ppo", wrapped(Rollout, "pop", looks_beyond_resets), "advantage", FIRST_ROLLOUT),
    "P25 constant rate": (
        "ppo",
        configured("ppo", learning_rate_schedule="constant"),
        "mlp_extractor.policy_net.0.weight",
        FIRST_ROLLOUT,
    ),
    "A1 epsilon inside": (
        "a2c",
        configured("a2c", rms_prop_tf=True),
        "mlp_extractor.policy_net.0.weight",
        15,
    ),
    "an epoch too many": ("ppo", configured("ppo", n_epochs=4), "ours needs a permutation", FIRST_ROLLOUT),
    "D5 target follows": ("dqn", configured("dqn", target_update_interval=1), "q_net.", FIRST_UPDATE + 4),
    "D8 a limit ends": ("dqn", wrapped(Replay, "add", limit_ends), "discount", FIRST_UPDATE),
    "D10 unit of epsilon": ("dqn", epsilon_by_updates, "epsilon", 60),
    "a wrong place": ("dqn", wrapped(Replay, "index", one_further), "obs", FIRST_UPDATE),
    "learns too often": ("dqn", configured("dqn", train_freq=2), "ours needs a randint", 62),
    "learns too seldom": ("dqn", configured("dqn", train_freq=5), "ours learns 0 times", FIRST_UPDATE),
    "C5 early": ("td3", wrapped(td3.TD3, "__init__", one_update_early), "actor.", 184),
    "C8 a slow target": ("sac", configured("sac", tau=0.001), "critic.", 184),
}


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_part_them(name: str, monkeypatch: pytest.MonkeyPatch):
    algorithm, plant, what, env_step = BUGS[name]
    plant(monkeypatch)
    found = parted(algorithm)
    assert found.what.startswith(what), found
    assert found.env_step == env_step, found


def test_a_ring_that_is_too_long_shows_when_it_wraps(monkeypatch: pytest.MonkeyPatch):
    """101 places for 100: SB3 overwrites the first transition with number 100, ours one step later."""

    def longer(build: Any, memory: Any, capacity: int, *rest: Any) -> None:
        build(memory, capacity + 1, *rest)

    case = brief("dqn")
    case = replace(case, hyperparameters={**case.hyperparameters, "buffer_size": 100})
    assert lockstep.run(case).first is None
    wrapped(Replay, "__init__", longer)(monkeypatch)
    first = lockstep.run(case).first
    assert first is not None and first.what == "obs" and 100 < first.env_step <= 112


def other_end(sample: Any, logits: Any, uniform: Any) -> Any:
    return sample(logits, 1 - uniform)


def truncation_is_termination(step: Any, *arguments: Any) -> Any:
    found = step(*arguments)
    return found._replace(discount=1 - found.last)


def forgets_where(step: Any, self: Any, *arguments: Any) -> Any:
    found = step(self, *arguments)
    return found._replace(next_obs=self.obs)


@pytest.mark.parametrize(
    ("algorithm", "plant", "what", "latest"),
    [
        ("a2c", wrapped(categorical, "sample", other_end), "action", 15),
        ("ddpg", wrapped(Bounds, "from_unit", lambda scale, self, action: action), "action", 0),
        ("ppo", wrapped(CartPole, "step", truncation_is_termination), "discount", 192),
        ("dqn", wrapped(CartPole, "step", forgets_where), "next_obs", 60),
        ("sac", configured("sac", learning_starts=100), "action", 101),
    ],
)
def test_planted_bugs_part_them_when_ours_acts_by_itself(
    algorithm: str, plant: Plant, what: str, latest: int, monkeypatch: pytest.MonkeyPatch
):
    plant(monkeypatch)
    found = parted(algorithm, own_actions=True)
    assert found.what == what and found.env_step <= latest, found


def test_a_race_of_clocks_is_what_torch_draws():
    """Recording does not change SB3's actions, and our agent chooses the same ones with its draws."""
    p = torch.softmax(3 * torch.randn(500, 2, dtype=torch.float64), -1)
    state = torch.get_rng_state()
    drawn = torch.multinomial(p, 1, True)
    torch.set_rng_state(state)
    tape = random_draws.Tape()
    assert torch.equal(tape._race(p, 1, True), drawn)
    uniform = random_draws.explore("ppo", tape.acting, None)
    assert torch.equal(categorical.sample(p.log(), uniform[0, :, 0]), drawn[:, 0])


def test_places_become_uniform_numbers_and_places_again():
    """Row 2 of 3 and sub-environment 1 of 2 is place 5 of 6."""
    draws = random_draws.Draws()
    for drawn in ((np.array([2, 0, 1]), 3), (np.array([1, 0, 0]), 2)):
        draws.put("randint", drawn)
    uniform = random_draws.Minibatches(draws).next()
    assert (6 * uniform).floor().tolist() == [[5, 0, 2]]
    with pytest.raises(random_draws.Parted, match="ours needs a randint"):
        random_draws.Minibatches(draws).next()


def test_a_tensor_near_zero_is_not_divided_by_itself():
    """0.01 off a bias that has been 4 is 1/400; the distance of a tensor that starts as zeros is absolute."""
    measure = RelativeDistance({"zeros"})
    four, near, off = (torch.tensor([x], dtype=torch.float64) for x in (4.0, 0.0, 0.01))
    assert measure({"bias": four}, {"bias": four}) == {"bias": 0.0}
    assert measure({"bias": off}, {"bias": near}) == {"bias": 0.0025}
    assert measure({"zeros": four + off}, {"zeros": four})["zeros"] == pytest.approx(0.01)
    assert measure({"bias": off * torch.nan}, {"bias": near}) == {"bias": float("inf")}
    assert measure({"returns": torch.empty(0)}, {"returns": four}) == {"returns": float("inf")}


def test_a_nudged_copy_distinguishes_rounding_from_faults():
    case = replace(brief("a2c"), env_steps=60)
    found = lockstep.run(case, control=True)
    assert [point[:2] for point in found.control] == [point[:2] for point in found.curve]
    assert 0 < max(point.distance for point in found.control) < 1e-13
    crept = found._replace(first=Difference(45, "log_prob", 2e-9))
    assert crept.verdict == "part"  # the copy stayed close: it was not rounding
    parting = [*found.control[:2], Point(45, 3, 1e-10), Point(60, 4, 1e-8)]
    assert crept._replace(control=parting).verdict == "rounding"
    assert crept._replace(control=parting, first=Difference(45, "log_prob", 1e-6)).verdict == "part"
    assert crept._replace(control=parting, first=Difference(44, "log_prob", 2e-9)).verdict == "part"
    assert crept._replace(control=[]).verdict == "part"


def test_a_check_reports_what_it_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cases, "short", lambda algorithm: [brief(algorithm)])
    (check,) = lockstep.check("a2c", own_actions=True)
    assert check.passed and check.layer == "lockstep" and "120 environment steps, 8 updates" in check.detail
    wrapped(Rollout, "add", limit_ends)(monkeypatch)
    (check,) = lockstep.check("a2c", own_actions=False)
    assert not check.passed and check.detail.startswith("they part: advantage by")
    with pytest.raises(UserError, match=r"unknown algorithm 'ppp'; .*did you mean 'ppo'"):
        cases.full("ppp")


def test_tables_and_page(tmp_path: Path):
    """A second run of a case replaces the first one; the page reports what parted."""
    case = Case("a2c", "CartPole-v1", 500, 3, {}, "hyperparameters.yaml")
    curve = [Point(5 * k, k, 1e-15 * k) for k in range(1, 500)]
    run = lockstep.Run(case, "replay", 500, 100, 20, 3, curve, curve, None, 1.5)
    lockstep_table.save(run._replace(mode="own-actions", first=Difference(600, "log_prob", 1e-3)), tmp_path)
    for _ in range(2):
        lockstep_table.save(run, tmp_path)
    with (tmp_path / "lockstep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 125  # both modes, both with their copies, of four points one
    own = [row for row in rows if row["mode"] == "own-actions"]
    assert next(int(row["env_step"]) for row in own if row["first_difference"]) == 600
    assert rows[-1]["max_relative_difference"] == "4.990e-13"
    answer = lockstep_page.render(tmp_path)
    assert "our a2c on CartPole-v1 learn the same for 500 environment steps" in answer
    assert "They part in a2c on CartPole-v1 (own-actions)." in answer
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "parted: log\\_prob by 1.0e-03 at environment step 600" in page
    assert registry.AGENTS.keys() >= set(cases.ALGORITHMS)
