"""Settings that runs state in their own files: CleanRL's table, RL Zoo's and other files, saved models."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rlparity.log_readers import settings
from rlparity.log_readers.setting_names import named

CLEANRL_PPO = {
    "exp_name": "ppo", "seed": 1, "torch_deterministic": True, "env_id": "CartPole-v1",
    "learning_rate": 2.5e-4, "num_envs": 4, "num_steps": 128, "anneal_lr": True, "gamma": 0.99,
    "gae_lambda": 0.95, "num_minibatches": 4, "update_epochs": 4, "norm_adv": True, "clip_coef": 0.2,
    "clip_vloss": True, "ent_coef": 0.01, "vf_coef": 0.5, "max_grad_norm": 0.5, "target_kl": None,
    "batch_size": 512, "minibatch_size": 128, "num_iterations": 976,
}  # fmt: skip
PPO = {
    "learning_rate": 2.5e-4, "n_envs": 4, "n_steps": 128, "learning_rate_schedule": "linear", "gamma": 0.99,
    "gae_lambda": 0.95, "batch_size": 128, "n_epochs": 4, "normalize_advantage": True, "clip_range": 0.2,
    "clip_range_vf": 0.2, "ent_coef": 0.01, "vf_coef": 0.25, "max_grad_norm": 0.5, "target_kl": None,
}  # fmt: skip
ZOO = """\
!!python/object/apply:collections.OrderedDict
- - - batch_size
    - 256
  - - clip_range
    - lin_0.2
  - - learning_rate
    - lin_0.001
  - - ent_coef
    - 0.0
  - - n_envs
    - 8
  - - n_timesteps
    - 100000.0
  - - normalize
    - "{'norm_obs': True, 'norm_reward': False}"
  - - policy
    - MlpPolicy
  - - policy_kwargs
    - dict(net_arch=dict(pi=[64, 64], vf=[64, 64]), activation_fn=nn.ReLU, ortho_init=False)
"""


def write_table(folder: Path, arguments: dict[str, Any]) -> Path:
    """An event file as CleanRL's scripts write it."""
    from torch.utils.tensorboard import SummaryWriter

    rows = "\n".join(f"|{name}|{value}|" for name, value in arguments.items())
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("hyperparameters", f"|param|value|\n|-|-|\n{rows}")
        writer.add_scalar("charts/episodic_return", 20.0, 20)
    return next(folder.glob("*tfevents*"))


def test_the_table_of_cleanrl_is_read_under_the_references_names(tmp_path: Path) -> None:
    found = settings.read((write_table(tmp_path, CLEANRL_PPO),), "CartPole-v1")
    assert found.values == PPO
    assert found.remarks == {"vf_coef": "vf_coef 0.5 of half the squared error"}
    assert set(found.sources.values()) == {"the table of hyper-parameters in its event file"}


SCRIPTS: list[tuple[dict[str, Any], dict[str, Any]]] = [  # arguments, settings under the reference's names
    (
        {"start_e": 1, "end_e": 0.05, "train_frequency": 10, "target_network_frequency": 500},
        {"exploration_initial_eps": 1, "exploration_final_eps": 0.05, "train_freq": 10}
        | {"target_update_interval": 500},
    ),
    (
        {"num_envs": 1, "policy_frequency": 2, "policy_noise": 0.2, "noise_clip": 0.5, "batch_size": 256}
        | {"exploration_noise": 0.1},
        {"n_envs": 1, "policy_delay": 2, "target_policy_noise": 0.2, "target_noise_clip": 0.5}
        | {"batch_size": 256, "noise_std": 0.1},
    ),
    (
        {"num_envs": 1, "policy_lr": 3e-4, "q_lr": 1e-3, "autotune": True, "alpha": 0.2}
        | {"policy_frequency": 2},
        {"n_envs": 1, "learning_rate": "0.0003 of the actor, 0.001 of the critics", "ent_coef": "auto"},
    ),
    (
        {"num_envs": 2, "num_steps": 64, "num_minibatches": 4, "clip_vloss": False, "anneal_lr": False}
        | {"clip_coef": 0.1, "target_kl": 0.03},
        {"n_envs": 2, "n_steps": 64, "batch_size": 32, "clip_range_vf": None, "clip_range": 0.1}
        | {"learning_rate_schedule": "constant", "target_kl": 0.02},
    ),
]


@pytest.mark.parametrize(("written", "wanted"), SCRIPTS)
def test_names_of_cleanrls_scripts(written: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert named(written).values == pytest.approx(wanted)


def test_the_file_of_rl_zoo_lies_in_a_folder_with_the_environments_name(tmp_path: Path) -> None:
    inner = tmp_path / "CartPole-v1"
    inner.mkdir()
    (inner / "config.yml").write_text(ZOO)
    log = tmp_path / "0.monitor.csv"
    log.write_text("")
    found = settings.read((log,), "CartPole-v1")
    wanted = {
        "batch_size": 256, "clip_range": 0.2, "clip_range_schedule": "linear", "learning_rate": 0.001,
        "learning_rate_schedule": "linear", "ent_coef": 0.0, "n_envs": 8, "net_arch": [64, 64],
        "activation": "relu", "ortho_init": False, "normalize": "{'norm_obs': True, 'norm_reward': False}",
    }  # fmt: skip
    assert {name: found.values[name] for name in wanted} == wanted
    assert settings.read((log,), "Acrobot-v1").values == {}


def test_the_json_of_a_saved_model_is_read_and_nothing_is_unpickled(tmp_path: Path) -> None:
    from stable_baselines3 import PPO as Model

    Model("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, ent_coef=0.01, device="cpu").save(
        tmp_path / "best_model"
    )
    log = tmp_path / "monitor.csv"
    found = settings.read((log,), "CartPole-v1")
    wanted = {
        "n_envs": 1, "n_steps": 32, "batch_size": 16, "ent_coef": 0.01, "learning_rate": 0.0003,
        "learning_rate_schedule": "constant", "clip_range": 0.2, "clip_range_schedule": "constant",
        "clip_range_vf": None, "normalize_advantage": True, "gae_lambda": 0.95, "target_kl": None,
    }  # fmt: skip
    assert {name: found.values[name] for name in wanted} == wanted
    assert set(found.sources.values()) == {"best_model.zip"}
    assert "policy_class" not in found.values and "rollout_buffer_class" not in found.values


def test_the_first_file_that_states_a_setting_counts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"gamma": 0.9, "nested": {"a": 1}, "long": "%s"}' % ("x" * 1000))
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("data", json.dumps({"gamma": 0.8, "n_steps": 5}))
    found = settings.read((tmp_path / "log.csv",), "CartPole-v1")
    assert found.values == {"gamma": 0.9, "n_steps": 5}
    assert found.sources == {"gamma": "config.json", "n_steps": "model.zip"}


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\n" + "".join(
    f"{chr(ord('c') + i)}: &{chr(ord('c') + i)} [*{chr(ord('b') + i)}, *{chr(ord('b') + i)}]\n"
    for i in range(22)
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{"), ("config.json", b"[1, 2]"), ("config.json", b'{"gamma": NaN}'),
        ("config.json", b"\xff\x00"), ("config.json", b"[" * 100_000),
        ("config.yml", b"!!python/object/apply:os.system ['exit 3']"), ("config.yml", b"a: [b"),
        ("config.yml", b"!!python/object/apply:collections.OrderedDict 7"),
        ("config.yml", b"!!python/object/apply:collections.OrderedDict [[[[a], 1], [[b]], 3]]"),
        ("model.zip", b"no archive"), ("events.out.tfevents.1.host", bytes(range(256)) * 4),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_state_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert settings.read((tmp_path / name,), "CartPole-v1").values == {}


def test_values_that_no_setting_can_have_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(BOMB)
    assert settings.read((tmp_path / "log.csv",), "CartPole-v1").values == {"a": ["x", "x"]}


def test_links_to_elsewhere_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"gamma": 0.9}')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").symlink_to(tmp_path / "other.json")
    assert settings.read((tmp_path / "run" / "log.csv",), "CartPole-v1").values == {}
