"""Settings as CleanRL, RL Zoo and Stable-Baselines3 write them, under Stable-Baselines3's names.

Names and meanings are those of CleanRL's scripts (`ppo.py`, `dqn.py`, `td3_continuous_action.py`,
`sac_continuous_action.py` and relatives), of RL Zoo's `config.yml` and of the JSON in Stable-Baselines3's
saved models. Nothing that is read is evaluated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

CLEANRL_ONLY = {
    "num_envs",
    "clip_coef",
    "update_epochs",
    "start_e",
    "policy_frequency",
    "torch_deterministic",
}
CLEANRL = {  # CleanRL's argument -> the name here, where the value is the same
    "num_envs": "n_envs",
    "num_steps": "n_steps",
    "update_epochs": "n_epochs",
    "clip_coef": "clip_range",
    "norm_adv": "normalize_advantage",
    "train_frequency": "train_freq",
    "target_network_frequency": "target_update_interval",
    "start_e": "exploration_initial_eps",
    "end_e": "exploration_final_eps",
    "exploration_noise": "noise_std",
    "policy_noise": "target_policy_noise",
    "noise_clip": "target_noise_clip",
    "policy_frequency": "policy_delay",
    **{name: name for name in ("learning_rate", "gamma", "gae_lambda", "ent_coef", "max_grad_norm")},
    **{name: name for name in ("buffer_size", "learning_starts", "tau", "exploration_fraction")},
}
SCHEDULED = ("learning_rate", "clip_range")


class Named(NamedTuple):
    """Settings by Stable-Baselines3's names, and remarks on those that were converted."""

    values: dict[str, Any]
    remarks: dict[str, str]


def named(written: Mapping[str, Any]) -> Named:
    """Settings of a table of arguments or of a configuration file, whichever program wrote it.

    Other entries, and those that cannot be expressed, stay under their own names.
    """
    return _cleanrl(written) if CLEANRL_ONLY & written.keys() else _stable_baselines3(written)


def _cleanrl(written: Mapping[str, Any]) -> Named:
    found = {ours: written[name] for name, ours in CLEANRL.items() if name in written}
    remarks: dict[str, str] = {}
    if "num_minibatches" in written:  # `batch_size` is the whole rollout
        size = written.get("minibatch_size")
        if not size and _count(written, "num_envs", "num_steps", "num_minibatches"):
            size = written["num_envs"] * written["num_steps"] // written["num_minibatches"]
        found |= {"batch_size": size} if size else {}
    elif "batch_size" in written:
        found["batch_size"] = written["batch_size"]
    if isinstance(written.get("anneal_lr"), bool):
        found["learning_rate_schedule"] = "linear" if written["anneal_lr"] else "constant"
    if isinstance(written.get("clip_vloss"), bool):
        found["clip_range_vf"] = written.get("clip_coef") if written["clip_vloss"] else None
    if _number(written.get("vf_coef")):
        found["vf_coef"] = written["vf_coef"] / 2
        remarks["vf_coef"] = f"vf_coef {written['vf_coef']:g} of half the squared error"
    if "target_kl" in written:
        found["target_kl"] = written["target_kl"]
        if _number(written["target_kl"]):
            found["target_kl"] /= 1.5
            remarks["target_kl"] = f"stops above {written['target_kl']:g}, the reference above 1.5 target_kl"
    if "q_lr" in written and "policy_lr" in written:
        same = written["q_lr"] == written["policy_lr"]
        two = f"{written['policy_lr']} of the actor, {written['q_lr']} of the critics"
        found["learning_rate"] = written["q_lr"] if same else two
    if "autotune" in written:
        found["ent_coef"] = "auto" if written["autotune"] is True else written.get("alpha")
        found.pop("policy_delay", None)  # as many actor updates, in bursts
    return Named(found, remarks)


def _count(written: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(written.get(name), int) and written[name] > 0 for name in names)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _stable_baselines3(written: Mapping[str, Any]) -> Named:
    found = {name: value for name, value in written.items() if not isinstance(value, Mapping)}
    for name in SCHEDULED:
        if name in written:
            found |= _scheduled(name, written[name])
    policy = written.get("policy_kwargs")
    found |= _policy(policy if isinstance(policy, Mapping) else _call(policy))
    if "policy" in written and "n_timesteps" in written:  # RL Zoo's, which leaves these out at their defaults
        found.setdefault("n_envs", 1)
        found["normalize"] = _normalize(written.get("normalize", False))
    return Named(found, {})


def _scheduled(name: str, value: Any) -> dict[str, Any]:
    """A rate or a range with its schedule: a number, RL Zoo's `lin_0.2`, or a schedule of a saved model."""
    if _number(value):
        return {name: value, f"{name}_schedule": "constant"}
    text = str(value.get("value_schedule", "") if isinstance(value, Mapping) else value)
    if linear := re.fullmatch(r"lin_([-+.\deE]+)", text):
        return {name: literal(linear[1]), f"{name}_schedule": "linear"}
    if constant := re.fullmatch(r"ConstantSchedule\(val=([-+.\deE]+)\)", text):
        return {name: literal(constant[1]), f"{name}_schedule": "constant"}
    return {}


def _policy(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: given[name] for name in ("ortho_init", "log_std_init", "n_quantiles") if name in given}
    net = given.get("net_arch")
    if isinstance(net, Mapping):  # equal networks, or what is written
        parts = list(net.values())
        net = parts[0] if parts and all(part == parts[0] for part in parts) else dict(net)
    if isinstance(net, list | tuple | dict):
        found["net_arch"] = list(net) if isinstance(net, list | tuple) else str(net)
    if activation := re.search(r"(\w+)\W*$", str(given.get("activation_fn") or "")):
        found["activation"] = activation[1].lower()
    return found


def _call(text: Any) -> dict[str, Any]:
    """The arguments of RL Zoo's `dict(net_arch=[64, 64], activation_fn=nn.ReLU)`, read and not evaluated."""
    try:
        tree = ast.parse(str(text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    value = _value(tree)
    return value if isinstance(value, dict) else {}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {each.arg: _value(each.value) for each in node.keywords if each.arg}
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return ast.unparse(node)


def _normalize(value: Any) -> Any:
    """RL Zoo's `normalize`: true, false, or arguments as text, by default for observations and rewards."""
    given = literal(value) if isinstance(value, str) else value
    if isinstance(given, Mapping):
        parts = given.get("norm_obs", True), given.get("norm_reward", True)
        return all(parts) if all(parts) or not any(parts) else str(value)
    return given


def literal(text: str) -> Any:
    """The number, truth value, list or None that a text is; else the text."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text.strip()
