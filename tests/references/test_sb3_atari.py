"""Stable-Baselines3's own Atari with our recorder: what its wrappers show the learner, and the records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ale_py.env import AtariEnv
from small import Protocol, cell
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import nn

from rlparity.agents import base as agents
from rlparity.environments import atari_presets, metadata
from rlparity.references import sb3, sb3_atari, sb3_models
from rlparity.references.sb3_environments import RecordedEnvironments
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters as settings
from rlparity.training.recorder import Recorder
from rlparity.transitions import Episode

pytestmark = [pytest.mark.probes, pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")]
SMALL: dict[str, dict[str, Any]] = {
    "dqn": {"buffer_size": 100, "learning_starts": 20, "batch_size": 8},
    "qrdqn": {"buffer_size": 100, "learning_starts": 20, "batch_size": 8, "n_quantiles": 5},
    "a2c": {},
    "ppo": {"n_steps": 16, "batch_size": 32, "n_epochs": 1},
}


@pytest.fixture(autouse=True)
def _presets_of_this_test() -> Iterator[None]:
    """What is known of an environment is cached, and some tests shorten a preset."""
    metadata.probe.cache_clear()
    yield
    metadata.probe.cache_clear()


def atari_cell(algorithm: str, environment: str = "ALE/Pong-v5@nature", **changes: Any) -> Any:
    options = {**SMALL[settings.library().algorithms[algorithm].agent], **changes.pop("hyperparameters", {})}
    fields = {"implementation": "sb3", "n_envs": 2, "budget": 64, **changes}
    return cell(algorithm, (4,), environment=environment, hyperparameters=options, **fields)


def recorded(environment: str, seeds: Iterable[int]) -> tuple[Any, list[Episode]]:
    """SB3's sub-environments with a recorder, and the episodes it records."""
    seeds, recorded_episodes = list(seeds), []
    sub_envs = sb3_atari.make(environment, len(seeds))
    rows = Recorder(atari_cell("a2c", environment))
    recorder = RecordedEnvironments(
        sub_envs, lambda step: None, rows, lambda step, ended: recorded_episodes.extend(ended), sb3_atari.raw
    )
    sub_envs._seeds = seeds
    return sb3_atari.present(recorder), recorded_episodes


class Frames:
    """Every frame that two emulators play: its reward, and whether the game was over."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.step = 0  # of the agent; all frames of a step carry its number
        self.sub_envs: dict[int, list[tuple[int, float, bool]]] = {}
        play = AtariEnv.step

        def logged(env: AtariEnv, action: int) -> Any:
            found = play(env, action)
            sub_env = self.sub_envs.setdefault(id(env), [])
            sub_env.append((self.step, float(found[1]), found[2] or found[3]))
            return found

        patch.setattr(AtariEnv, "step", logged)

    def games(self) -> list[tuple[int, float, int]]:
        """Step of the end, return and length of every whole game: agent steps between the ends of games."""
        found = []
        for frames in self.sub_envs.values():
            total, began = 0.0, 0
            for step, reward, over in frames:
                total += reward
                if over:
                    found.append((step, total, step - began))
                    total, began = 0.0, step
        return sorted(found)


@pytest.mark.parametrize(
    ("environment", "steps"),
    [("ALE/Breakout-v5@nature", 500), ("ALE/MsPacman-v5@nature", 700), ("ALE/Breakout-v5@machado", 500)],
)
def test_books_are_of_whole_games_with_raw_returns(
    environment: str, steps: int, monkeypatch: pytest.MonkeyPatch
):
    """The learner sees signs, and with `nature` an end at every lost life; the records see neither."""
    frames, (env, recorded_episodes) = Frames(monkeypatch), recorded(environment, [5, 6])
    rng, lives, rewards = np.random.default_rng(0), 0, []
    env.reset()
    for frames.step in range(1, steps + 1):
        _, reward, dones, _ = env.step(rng.integers(env.action_space.n, size=2))
        lives += dones.sum()
        rewards.append(reward)
    found = sorted((e.env_step // 2, e.episode_return, e.episode_length) for e in recorded_episodes)
    assert found == frames.games() and len(found) >= 2
    assert set(np.unique(rewards)) == {0, 1}
    assert (
        all(e.episode_return >= 60 and e.episode_return % 10 == 0 for e in recorded_episodes)
        or "Br" in environment
    )
    assert lives == len(found) if environment.endswith("machado") else lives > 2 * len(found)
    env.close()


def test_a_game_that_ends_while_the_wrapper_plays_is_booked_with_all_that_it_paid():
    """Rewards 1, 2 and 4 of one game, the last two played by a reset; then 8 and 16 of the next."""

    class Emulator(sb3_atari.gym.Env):
        def __init__(self) -> None:
            self.script = iter([(1, False), (2, False), (4, True), (8, False), (16, True)])

        def reset(self, **_: Any) -> Any:
            return 0, {}

        def step(self, action: int) -> Any:
            reward, over = next(self.script)
            return 0, reward, over, False, {}

    game = sb3_atari.Game(Emulator())
    game.reset()
    found = []
    for frames in (1, 3, 1):
        for _ in range(frames):
            if game.step(0)[2]:
                game.reset()
        found.append(game.pop())
    assert found == [(1.0, False), (6.0, True), (24.0, True)]


@pytest.mark.parametrize(
    ("preset", "wrappers", "n_actions", "sticky"),
    [
        ("nature", ["EpisodicLifeEnv", "MaxAndSkipEnv", "NoopResetEnv"], 6, 0.0),
        ("machado", ["MaxAndSkipEnv"], 18, 0.25),
    ],
)
def test_a_preset_chooses_the_wrappers_and_the_emulators_options(
    preset: str, wrappers: list[str], n_actions: int, sticky: float
):
    """AtariWrapper plays FIRE at the start with either, as the departures say."""
    env: Any = sb3_atari.make_single(f"ALE/Pong-v5@{preset}")
    game, layers = env.unwrapped, []
    while env is not game:
        layers.append(type(env).__name__)
        if layers[-1] in ("NoopResetEnv", "MaxAndSkipEnv"):
            assert (getattr(env, "noop_max", 30), getattr(env, "_skip", 4)) == (30, 4)
        env = env.env
    outer = ["AtariWrapper", "ClipRewardEnv", "WarpFrame", "FireResetEnv"]
    assert layers == [*outer, *wrappers, "Game", "OrderEnforcing"]
    assert game.action_space.n == n_actions and game._frameskip == 1
    assert game.ale.getFloat("repeat_action_probability") == sticky
    assert game.ale.getInt("max_num_frames_per_episode") == 108_000


def test_the_frame_cap_is_a_time_limit(monkeypatch: pytest.MonkeyPatch):
    game, preset = atari_presets.parse("ALE/Pong-v5@nature")
    short = replace(preset, max_frames=200)
    monkeypatch.setattr(sb3_atari, "parse", lambda environment: (game, short))
    env, recorded_episodes = recorded("ALE/Pong-v5@nature", [7])
    env.reset()
    step, done = 0, [False]
    while not done[0]:
        step += 1
        _, _, done, info = env.step(np.array([0]))
    assert info[0]["TimeLimit.truncated"] and info[0]["terminal_observation"].shape == (4, 84, 84)
    assert [(e.env_step, e.episode_length) for e in recorded_episodes] == [(step, step)]
    assert 38 < step < 50  # 200 frames, less up to 30 no-ops and 8 frames of fire
    env.close()


class Stop(Exception):
    """Seen enough."""


def test_every_sub_environment_starts_from_its_own_stream(monkeypatch: pytest.MonkeyPatch):
    """The stack of a start is three black frames and the first one, as in our own task."""
    first: list[np.ndarray] = []
    present = sb3_atari.present

    def stopped(env: Any) -> Any:
        env = present(env)
        reset = env.reset

        def once() -> Any:
            first.append(reset())
            raise Stop

        env.reset = once
        return env

    monkeypatch.setattr(sb3_atari, "present", stopped)
    c = atari_cell("ppo", n_envs=3)
    with pytest.raises(Stop):
        sb3.run(c)
    seeds = Streams(c).environments("training", 3)[0]
    expected = [sb3_atari.make_single(c.environment).reset(seed=seed)[0] for seed in seeds]
    assert first[0].shape == (3, 4, 84, 84) and first[0].dtype == np.uint8
    assert np.array_equal(first[0][:, 3], np.stack(expected)[..., 0]) and not first[0][:, :3].any()


@pytest.mark.parametrize("algorithm", ["dqn", "qrdqn", "a2c", "ppo"])
def test_a_policy_acts_as_its_model_does(algorithm: str):
    """Our evaluator hands images over as floats from 0 to 255."""
    c = atari_cell(algorithm)
    model: Any = sb3_models.build(c, sb3_atari.present(sb3_atari.make(c.environment, 2)), seed=0)
    blocks = torch.randint(2, (1, 60, 4, 3, 3), generator=torch.Generator().manual_seed(0))
    obs = (255 * blocks).to(torch.uint8).repeat_interleave(28, 3).repeat_interleave(28, 4)
    if algorithm in ("dqn", "qrdqn"):  # fresh biases outweigh what is seen
        net = model.q_net if algorithm == "dqn" else model.quantile_net
        with torch.no_grad():
            list(net.parameters())[-1].sub_(net(obs[0]).mean(0).flatten())
    expected, _ = model.predict(obs[0].numpy(), deterministic=True)
    assert sb3_models.Policy(model).act(obs.float()).tolist() == [expected.tolist()]
    assert len(set(expected.tolist())) > 1


@pytest.mark.parametrize("algorithm", ["dqn", "dqn-nstep", "qrdqn", "a2c", "ppo"])
def test_both_arms_get_the_same_hyper_parameters(algorithm: str):
    """Every name of the block for all games arrives at SB3; every default that it leaves out agrees."""
    named = settings.library().algorithms[algorithm]
    block = settings.library().lookup("ALE/Seaquest-v5@machado", named.agent)
    assert "the block `atari`" in block.source
    hyperparameters = {**block.hyperparameters, **named.options}
    if "dqn" in algorithm:
        hyperparameters["buffer_size"] = 1000
    c = replace(atari_cell(algorithm), hyperparameters=hyperparameters)
    model: Any = sb3_models.build(c, sb3_atari.present(sb3_atari.make(c.environment, 2)), seed=0)
    assert sum(isinstance(module, nn.Conv2d) for module in model.policy.modules()) % 3 == 0
    assert not {64} & {m.out_features for m in model.policy.modules() if isinstance(m, nn.Linear)}
    config = vars(agents.settings(named.agent)(**c.hyperparameters))
    for name in config.keys() - settings.MEANS - settings.OURS - NETWORK:
        theirs = getattr(model, name)
        value = config[name]
        if name in ("learning_rate", "clip_range"):
            theirs = (model.lr_schedule if name == "learning_rate" else model.clip_range)(0.25)
            value *= 0.25 if config[f"{name}_schedule"] == "linear" else 1
        elif name == "train_freq":
            theirs = theirs.frequency
        assert theirs == pytest.approx(value), name
    optimizer = model.policy.optimizer
    assert type(optimizer) is (RMSpropTFLike if algorithm == "a2c" else torch.optim.Adam)
    eps = {"a2c": 1e-5, "ppo": 1e-5, "qrdqn": 0.01 / 32}
    assert optimizer.defaults["eps"] == eps.get(algorithm, 1e-8)


NETWORK = {"net_arch", "activation", "log_std_init", "ortho_init"}
NETWORK |= {"use_rms_prop", "rms_prop_tf", "rms_prop_eps", "learning_rate_schedule", "clip_range_schedule"}


@pytest.mark.parametrize("algorithm", ["dqn-nstep", "qrdqn", "a2c", "ppo"])
def test_evaluating_leaves_training_as_it_was(algorithm: str, monkeypatch: pytest.MonkeyPatch):
    """Our evaluator plays our own Pong, cut after 50 steps here as are SB3's sub-environments."""
    short = replace(atari_presets.PRESETS["nature"], max_frames=200)
    monkeypatch.setattr(atari_presets, "PRESETS", {"nature": short})
    c = atari_cell(algorithm, evaluation=Protocol(points=1, episodes=1, final_episodes=2))
    watched, unwatched = sb3.run(c), sb3.run(c, evaluate=False)
    assert [(row["env_step"], row["size"]) for row in watched.evaluations] == [
        (0, 50),
        *[(c.budget, 50)] * 2,
    ]
    assert watched.state.keys() == unwatched.state.keys() and not watched.failed
    for name, value in watched.state.items():
        assert torch.equal(value, unwatched.state[name])
    assert {"loss", "value_loss"} & {row["metric"] for row in watched.progress}  # it has learned
