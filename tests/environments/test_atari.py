"""Atari: frames, ends and rewards beside Stable-Baselines3's wrappers; lives, caps, seeds; games by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch
from stable_baselines3.common.atari_wrappers import AtariWrapper, MaxAndSkipEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from rlparity import registry
from rlparity.environments import atari_games, metadata
from rlparity.environments import base as tasks
from rlparity.environments.atari import Atari, emulator_seed
from rlparity.environments.atari_presets import PRESETS, Preset
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.suites import memory_needs, suite
from rlparity.transitions import Episode, Step

pytestmark = pytest.mark.probes

NATURE, MACHADO = PRESETS["nature"], PRESETS["machado"]
BARE = replace(NATURE, noop_max=0, use_fire_reset=False)  # games start at the emulator's first frame
NOOP, FIRE = 0, 1


def atari(game: str, preset: Preset = NATURE, seeds: Any = ((7,),), **options: Any) -> Atari:
    return Atari(f"ALE/{game}-v5", preset, seeds, **options)


def play(task: Atari, *actions: int) -> list[Step]:
    """The same action in all sub-environments, one after the other."""
    return [task.step(torch.full(task.spec[:2], action)) for action in actions]


def at_random(task: Atari, steps: int, seed: int = 0) -> list[Step]:
    """Random actions, the same in all sub-environments."""
    return play(task, *np.random.default_rng(seed).integers(task.spec.n_actions, size=steps).tolist())


def sb3(game: str) -> VecFrameStack:
    """Stable-Baselines3's own pipeline without no-ops at the start, raw scores of whole games below it."""
    options = {"frameskip": 1, "repeat_action_probability": 0.0, "full_action_space": False}
    env = gym.make(f"ALE/{game}-v5", disable_env_checker=True, **options)
    return VecFrameStack(DummyVecEnv([lambda: AtariWrapper(Monitor(env), noop_max=0)]), 4)


@pytest.mark.parametrize(
    ("game", "steps", "largest", "share"),
    [
        ("Breakout", 245, 0, 0.0),  # to the last bit
        # SB3 pools colours, then turns them grey: where ball or paddle pass another colour, pixels differ
        ("Pong", 830, 16, 0.006),
    ],
)
def test_a_whole_game_is_sb3s_frame_for_frame(game: str, steps: int, largest: int, share: float) -> None:
    """SB3 plays FIRE and action 2 at every start, and a no-op before them after a lost life; here too."""
    theirs, ours = sb3(game), atari(game, BARE)
    obs = theirs.reset()
    play(ours, FIRE, 2)
    age, ended, scores = 1, 0, []
    rng = np.random.default_rng(1)
    for _ in range(steps):
        frames = ours.obs[0, 0].numpy().astype(int).transpose(1, 2, 0)
        difference = np.abs(frames - obs[0])[..., -min(age, 4) :]
        assert difference.max() <= largest and (difference > 0).mean() <= share
        action = int(rng.integers(ours.spec.n_actions))
        obs, reward, done, infos = theirs.step(np.array([action]))
        step = play(ours, action)[0]
        assert step.reward.item() == reward[0]
        assert step.last.item() == done[0] and step.discount.item() == 1 - done[0]
        age += 1
        if done[0]:
            over = ours.pop_episodes()
            assert len(over) == ("episode" in infos[0])
            scores += [(episode.episode_return, infos[0]["episode"]["r"]) for episode in over]
            play(ours, *(FIRE, 2) if over else (NOOP, FIRE, 2))
            age, ended = 1, ended + 1
    assert [our for our, _ in scores] == [their for _, their in scores] and len(scores) == 1
    assert ended == {"Breakout": 5, "Pong": 1}[game]


def test_frames_are_grey_then_pooled_then_resized_by_area() -> None:
    """Of a game of many colours, to the last bit, by the scalar emulator and OpenCV from Python."""
    options = {"frameskip": 1, "repeat_action_probability": 0.0, "obs_type": "grayscale"}
    env = MaxAndSkipEnv(gym.make("ALE/Seaquest-v5", disable_env_checker=True, **options))
    env.reset(seed=0)
    task = atari("Seaquest", BARE)
    for step, action in zip(at_random(task, 60), np.random.default_rng(0).integers(18, size=60), strict=True):
        frame = cv2.resize(env.step(action)[0], (84, 84), interpolation=cv2.INTER_AREA)
        assert np.array_equal(step.next_obs[0, 0, -1].numpy(), frame)


def test_breakout_through_five_lives_is_one_episode_with_its_raw_score() -> None:
    task = atari("Breakout")
    steps, ends, episodes = [], [], []
    rng = np.random.default_rng(1)
    for t in range(400):
        before = task.obs
        steps += play(task, int(rng.integers(4)))
        step = steps[-1]
        episodes += task.pop_episodes()
        assert step.obs is before
        assert torch.equal(step.next_obs[:, :, :3], step.obs[:, :, 1:])  # the true successor, at ends too
        if step.last.item():
            ends.append(t)
            assert step.discount.item() == 0
            if episodes:
                break
            assert torch.equal(task.obs, step.next_obs)  # the game goes on as it is
        else:
            assert step.discount.item() == 1 and task.obs is step.next_obs
    assert len(ends) == 5
    score = sum(step.reward.item() for step in steps)  # bricks of the lower rows pay 1
    assert episodes == [Episode(0, 0, len(steps), score, len(steps))] and score > 0
    assert not task.obs[0, 0, :3].any() and task.obs[0, 0, 3].any()  # a new game, a new stack
    assert not torch.equal(task.obs[0, 0, 3], steps[-1].next_obs[0, 0, 3])


def test_zero_lives_for_a_few_frames_end_nothing_twice() -> None:
    """Q*bert has four lives and shows none for a while before the game is over."""
    task = atari("Qbert")
    ends, episodes = 0, []
    for t in range(600):
        (step,) = at_random(task, 1, seed=t)
        ends += int(step.last.item())
        episodes += task.pop_episodes()
        if episodes:
            break
    assert (ends, len(episodes)) == (4, 1)


def test_machado_plays_all_actions_and_knows_no_lives() -> None:
    task = atari("Breakout", MACHADO)
    assert task.spec.n_actions == 18 and atari("Breakout").spec.n_actions == 4
    steps, episodes = [], []
    while not episodes:
        steps += at_random(task, 1, seed=len(steps))
        episodes += task.pop_episodes()
        assert len(steps) < 1000
    assert [step.last.item() for step in steps] == [0.0] * (len(steps) - 1) + [1.0]
    assert steps[-1].discount.item() == 0


def test_actions_are_sticky_in_machado_alone() -> None:
    """Nothing else is left to chance: without them and no-op starts all seeds play the same game."""
    seeds = [[1, 2]]
    assert MACHADO.repeat_action_probability == 0.25
    for preset, games_played in ((MACHADO, 2), (replace(MACHADO, repeat_action_probability=0.0), 1)):
        last = at_random(atari("Breakout", preset, seeds), 60)[-1].next_obs[0]
        assert len({frames.numpy().tobytes() for frames in last}) == games_played


def test_rewards_are_clipped_in_steps_alone() -> None:
    clipped, raw = atari("SpaceInvaders"), atari("SpaceInvaders", replace(NATURE, clip_reward=False))
    seen = [step.reward.item() for step in at_random(clipped, 700)]
    paid = [step.reward.item() for step in at_random(raw, 700)]
    assert seen == np.sign(paid).tolist() and max(paid) > 1
    recorded_episodes = clipped.pop_episodes()
    assert recorded_episodes == raw.pop_episodes() and recorded_episodes
    assert recorded_episodes[0].episode_return == sum(paid[: recorded_episodes[0].episode_length])


@pytest.mark.parametrize("preset", [NATURE, MACHADO])
def test_the_cap_cuts_a_game_and_ends_nothing(preset: Preset) -> None:
    assert preset.max_frames == 108_000
    task = atari("Pong", replace(preset, max_frames=402))  # 100 steps and a half
    steps = play(task, *[NOOP] * 210)
    last = [t for t, step in enumerate(steps, start=1) if step.last.item()]
    assert last == [101, 202]
    assert all(step.discount.item() == 1 for step in steps)
    assert torch.equal(steps[100].next_obs[:, :, :3], steps[100].obs[:, :, 1:])
    assert not steps[101].obs[0, 0, :3].any()
    assert [(e.env_step, e.episode_length) for e in task.pop_episodes()] == [(101, 101), (202, 101)]


@pytest.mark.parametrize("preset", ["nature", "machado"])
def test_a_seed_plays_the_same_games_alone_and_in_a_block(preset: str) -> None:
    seeds = [[2**63 + 5, 11], [12, 2**40]]
    made = "ALE/Breakout-v5@" + preset
    block, alone = tasks.make(made, seeds), tasks.make(made, [seeds[1]])
    threads = atari("Breakout", PRESETS[preset], [seeds[1]], num_threads=2)
    rng = np.random.default_rng(0)
    for _ in range(300):
        actions = torch.from_numpy(rng.integers(block.spec.n_actions, size=(2, 2)))
        whole, part, other = block.step(actions), alone.step(actions[1:2]), threads.step(actions[1:2])
        for a, b, c in zip(whole, part, other, strict=True):
            assert torch.equal(a[1:2], b) and torch.equal(b, c)
    recorded_episodes = block.pop_episodes()
    mine = [(e.env_index, e.env_step, e.episode_return) for e in recorded_episodes if e.seed_index == 1]
    assert mine == [(e.env_index, e.env_step, e.episode_return) for e in alone.pop_episodes()] and mine
    block.reset(seeds)
    alone.reset([seeds[1]])
    assert torch.equal(block.obs[1:2], alone.obs)


def test_no_op_starts_depend_on_the_seed() -> None:
    """None to 29 frames after the first, FIRE; Pong's picture stands still for most of them."""
    task = atari("Pong", seeds=[range(6)])
    games_seen = {frames.numpy().tobytes() for frames in at_random(task, 30)[-1].next_obs[0]}
    assert len(games_seen) >= 4


def test_seeds_become_what_the_emulator_takes() -> None:
    assert [emulator_seed(seed) for seed in (0, 1, 2**31 - 2, 2**31 - 1, 2**64 - 1)] == [
        1,
        2,
        2**31 - 1,
        1,
        4,
    ]


@pytest.mark.usefixtures("in_checkout")
def test_what_a_process_with_images_needs_is_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """840 MiB were the most that a cell of PPO on Pong with one seed has taken, 720 one of the reference."""
    raw = {**BASE, "environments": ["ALE/Pong-v5@nature"], "algorithms": ["random", "ppo", "dqn"]}
    info = metadata.probe("ALE/Pong-v5@nature")
    cells = {(c.implementation, c.agent): c for c in suite.resolve(raw, "test").cells}
    mine, theirs = (memory_needs.needed_mib(cells[who, "ppo"], info) for who in ("scratch", "sb3"))
    assert 840 < mine < 1200 and 720 < theirs < 1200
    ten = replace(cells["scratch", "ppo"], seeds=tuple(range(10)))
    assert memory_needs.needed_mib(ten, info) - mine == 9 * (100 + 4 * 128 * 8 * 4 * 84 * 84 // 2**20)
    on_gpu = replace(cells["scratch", "dqn"], device="cuda", budget=10**7)
    monkeypatch.setattr(memory_needs, "gpu_bytes", lambda: 2**29)
    assert "the GPU has 0.5; " in memory_needs.bad_memory(on_gpu, info)[0]
    assert not memory_needs.bad_memory(replace(on_gpu, device="cpu"), info)
    assert not memory_needs.bad_memory(replace(cells["sb3", "dqn"], device="cuda"), info)


def test_resume_starts_new_games_and_keeps_the_clock() -> None:
    task = atari("Pong", seeds=[[7, 8]])
    assert not registry.family("ALE/Pong-v5@nature").resumes_exactly
    first, state = at_random(task, 40)[-1].obs, task.snapshot()
    task.resume(state)
    assert not task.obs[:, :, :3].any()
    second = at_random(task, 40)[-1].obs
    capped = atari("Pong", replace(NATURE, max_frames=160), seeds=[[7, 8]])
    capped.resume(state)
    third = at_random(capped, 40)[-1].obs
    assert torch.equal(second, third) and not any(map(torch.equal, first[0], second[0]))
    assert [(e.env_step, e.episode_length) for e in capped.pop_episodes()] == [(160, 40), (160, 40)]


def test_lists_are_those_of_the_literature() -> None:
    assert {name: len(set(listed)) for name, listed in atari_games.LISTS.items()} == {
        "atari-7": 7,
        "atari-26": 26,
        "atari-57": 57,
    }
    assert all(set(listed) <= set(atari_games.FIFTY_SEVEN) for listed in atari_games.LISTS.values())
    assert atari_games.expand("atari-7@machado")[::6] == [
        "ALE/BeamRider-v5@machado",
        "ALE/SpaceInvaders-v5@machado",
    ]
    assert atari_games.expand("ALE/Pong-v5@nature") == ["ALE/Pong-v5@nature"]
    for environment in atari_games.expand("atari-57@nature"):
        assert metadata.probe(environment).actions == "discrete"


def test_a_game_is_known_without_being_loaded() -> None:
    info = metadata.probe("ALE/Pong-v5@nature")
    assert (info.observation_bytes, info.observation_size, info.frame_bytes) == (28224, 28224, 7056)
    assert (info.time_limit, info.simulator, info.module) == (27_000, "ale-py", None)
    assert registry.family("ALE/Pong-v5@nature").module == "rlparity.environments.atari"
    assert tasks.make("ALE/MsPacman-v5@nature", [[1]]).spec.obs_shape == (4, 84, 84)


BASE: dict[str, Any] = {
    "name": "made-up",
    "title": "Made up",
    "environments": ["atari-7@nature"],
    "algorithms": ["random", "dqn"],
    "implementations": ["scratch", "sb3"],
    "seeds": [0],
    "budgets": {"default": 10**6},
}


@pytest.mark.usefixtures("in_checkout")
def test_a_list_in_a_suite_stands_for_its_games() -> None:
    own = {"id": "atari-7@machado", "algorithms": ["random"], "budgets": {"random": 999}}
    found = suite.resolve({**BASE, "environments": ["ALE/Pong-v5@nature", own]}, "test")
    assert list(found.environments) == ["ALE/Pong-v5@nature", *atari_games.expand("atari-7@machado")]
    assert {cell.budget for cell in found.cells if "machado" in cell.environment} == {999}
    cell = found.cells[0]
    assert cell.folder.parts[1] == "ALE_Pong-v5@nature"
    parts = found.parts(cell)
    assert parts["versions"]["ale-py"] == fingerprint.version("ale-py") is not None
    counted = fingerprint.own_hashes(cell)
    assert "rlparity.environments.atari_presets.parse" in counted
    assert not any("atari_games" in name for name in counted)


@pytest.mark.usefixtures("in_checkout")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("ALE/Pong-v5", "'ALE/Pong-v5' needs a preset: 'ALE/Pong-v5@nature' or 'ALE/Pong-v5@machado'"),
        ("ALE/Pong-v5@natur", "unknown preset 'natur'; choose from machado, nature (did you mean 'nature'?)"),
        (
            "ALE/Pnog-v5@nature",
            "unknown environment 'ALE/Pnog-v5'; choose a game of ale_py, such as 'ALE/Pong-v5'",
        ),
        ("ALE/MsPacmn-v5@nature", "(did you mean 'ALE/MsPacman-v5'?)"),
        ("atari-8@nature", "unknown list of games 'atari-8'; choose from atari-26, atari-57, atari-7"),
        ("atari-26", "'atari-26' needs a preset: 'atari-26@nature' or 'atari-26@machado'"),
    ],
)
def test_a_wrong_name_gets_one_line(environment: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        suite.resolve({**BASE, "environments": ["CartPole-v1", environment, "ALE/Nothing-v5@nature"]}, "test")
    (line,) = (line for line in str(caught.value).splitlines() if "environments[1]" in line)
    assert expected in line
    assert "environments[2]: unknown environment 'ALE/Nothing-v5'" in str(caught.value)


@pytest.mark.usefixtures("in_checkout")
def test_a_game_on_a_list_is_not_named_again() -> None:
    with pytest.raises(UserError, match=r"environments\[1\]: 'ALE/Pong-v5@nature' is there twice"):
        suite.resolve({**BASE, "environments": ["atari-7@nature", "ALE/Pong-v5@nature"]}, "test")


def test_a_missing_rom_gets_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    with pytest.raises(UserError) as caught:
        metadata.probe("ALE/Zaxxon-v5@machado")
    assert "'ALE/Zaxxon-v5@machado': ale_py's zaxxon.bin cannot be read: " in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "zaxxon.bin").write_bytes(b"another game")
    with pytest.raises(
        UserError, match=r"zaxxon\.bin cannot be read: The hash of zaxxon\.bin does not match"
    ):
        metadata.probe("ALE/Zaxxon-v5@machado")


@pytest.mark.usefixtures("in_checkout")
def test_a_million_frames_take_less_than_7_gib_here_and_a_machine_without_them_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = {**BASE, "environments": ["ALE/Pong-v5@nature"], "hyperparameters": {"dqn": {"buffer_size": 10**6}}}
    info = metadata.probe("ALE/Pong-v5@nature")
    monkeypatch.setattr(memory_needs, "machine_bytes", lambda: 64 * 2**30)
    sizes = {
        cell.implementation: memory_needs.memory_bytes(cell, info) / 2**30
        for cell in suite.resolve(raw, "test").cells
        if cell.agent == "dqn"
    }
    assert sizes["scratch"] == pytest.approx(6.85, abs=0.05) and sizes["sb3"] == pytest.approx(52.6, abs=0.05)
    monkeypatch.setattr(memory_needs, "machine_bytes", lambda: 4 * 2**30)
    with pytest.raises(
        UserError, match=r"buffer_size 1,000,000 of 'dqn' in 'ALE/Pong-v5@nature': .* 6\.9 GiB"
    ):
        suite.resolve(raw, "test")
    raw["hyperparameters"]["dqn"]["memory_mapped"] = True
    assert suite.resolve({**raw, "implementations": ["scratch"]}, "test").cells
