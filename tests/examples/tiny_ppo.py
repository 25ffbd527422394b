"""PPO for discrete actions in plain PyTorch, as somebody else might have written it.

rlparity validate tests/examples/tiny_ppo.py:TinyPPO --against sb3/ppo --suite cartpole
"""

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

THEIRS = {  # our layers, and what Stable-Baselines3 calls them: for update parity
    **{f"actor.{i}": f"mlp_extractor.policy_net.{i}" for i in (0, 2)},
    **{f"critic.{i}": f"mlp_extractor.value_net.{i}" for i in (0, 2)},
    "actor.4": "action_net",
    "critic.4": "value_net",
}


def network(n_inputs, n_outputs, gain):
    layers = [nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, n_outputs)]
    for layer, scale in zip(layers[::2], (2**0.5, 2**0.5, gain), strict=True):
        nn.init.orthogonal_(layer.weight, scale)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


class TinyPPO:
    def __init__(self, observation_space, action_space, hyperparameters):
        self.hp, self.sizes = hyperparameters, (observation_space.shape[0], int(action_space.n))
        self.rate, self.clip = self.hp["learning_rate"], self.hp["clip_range"]
        self.episode_returns = []
        self.build()

    def build(self):
        n_inputs, n_actions = self.sizes
        nets = {"actor": network(n_inputs, n_actions, 0.01), "critic": network(n_inputs, 1, 1.0)}
        self.nets = nn.ModuleDict(nets)
        self.optimizer = torch.optim.Adam(self.nets.parameters(), eps=1e-5)

    def value(self, obs):
        return self.nets["critic"](obs)[..., 0]

    @torch.no_grad()
    def act(self, obs, deterministic):
        logits = self.nets["actor"](torch.as_tensor(obs))
        return (logits.argmax(-1) if deterministic else Categorical(logits=logits).sample()).numpy()

    def train(self, make_env, seed, budget):
        torch.manual_seed(seed)
        self.build()
        envs = [make_env(i) for i in range(self.hp["n_envs"])]
        obs, running = np.stack([env.reset()[0] for env in envs]), np.zeros(len(envs))
        steps = 0
        while steps < budget:
            rows = []
            for _ in range(self.hp["n_steps"]):
                action, bootstrap = self.act(obs, deterministic=False), np.zeros(len(envs), np.float32)
                after, reward, ended, cut, _ = zip(
                    *(env.step(a) for env, a in zip(envs, action, strict=True)), strict=True
                )
                running += reward
                following, last = np.stack(after), np.array(ended) | np.array(cut)
                for i in np.flatnonzero(last):
                    if not ended[i]:  # a time limit ends the game, not the task
                        with torch.no_grad():
                            bootstrap[i] = self.value(torch.as_tensor(after[i])).item()
                    self.episode_returns.append(float(running[i]))
                    following[i], running[i] = envs[i].reset()[0], 0.0
                paid = np.array(reward, np.float32) + self.hp["gamma"] * bootstrap
                rows.append((obs, action, paid, 1.0 - last.astype(np.float32)))
                obs, steps = following, steps + len(envs)
            remaining = 1 - steps / budget
            linear = [self.hp[f"{name}_schedule"] == "linear" for name in ("learning_rate", "clip_range")]
            self.rate = self.hp["learning_rate"] * (remaining if linear[0] else 1)
            self.clip = self.hp["clip_range"] * (remaining if linear[1] else 1)
            batch = self.prepare([torch.as_tensor(np.stack(x)) for x in zip(*rows, strict=True)], obs)
            orders = [torch.randperm(len(batch["actions"])) for _ in range(self.hp["n_epochs"])]
            self.update(batch, {"permutations": torch.stack(orders)})

    @torch.no_grad()
    def prepare(self, rollout, next_obs):
        """Generalised advantages of a rollout (T, N, ...); batches are (B, ...)."""
        obs, action, reward, goes_on = rollout
        values, gamma, lam = self.value(obs), self.hp["gamma"], self.hp["gae_lambda"]
        following = torch.cat([values[1:], self.value(torch.as_tensor(next_obs))[None]])
        advantages, running = torch.zeros_like(reward), torch.zeros_like(reward[0])
        for t in reversed(range(len(reward))):
            delta = reward[t] + gamma * goes_on[t] * following[t] - values[t]
            advantages[t] = running = delta + gamma * lam * goes_on[t] * running
        batch = {
            "observations": obs,
            "actions": action,
            "old_values": values,
            "old_log_prob": Categorical(logits=self.nets["actor"](obs)).log_prob(action),
            "advantages": advantages,
            "returns": advantages + values,
        }
        return {name: x.flatten(0, 1) for name, x in batch.items()}

    def update(self, batch, draws):
        """Epochs over a batch, in the orders of draws["permutations"] (K, B)."""
        self.optimizer.param_groups[0]["lr"] = self.rate
        for order in draws["permutations"]:
            for index in order.split(self.hp["batch_size"]):
                b = {name: x[index] for name, x in batch.items()}
                policy = Categorical(logits=self.nets["actor"](b["observations"]))
                advantage = (b["advantages"] - b["advantages"].mean()) / (b["advantages"].std() + 1e-8)
                ratio = (policy.log_prob(b["actions"].long()) - b["old_log_prob"]).exp()
                clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
                gain = torch.min(ratio * advantage, clipped * advantage).mean()
                error = (b["returns"] - self.value(b["observations"])).square().mean()
                bonus = self.hp["ent_coef"] * policy.entropy().mean()
                loss = -gain + self.hp["vf_coef"] * error - bonus
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.nets.parameters(), self.hp["max_grad_norm"])
                self.optimizer.step()

    def load_reference(self, state):
        """Take over the parameters of SB3's policy, in their precision, with a fresh optimiser."""
        names = {
            name: name.replace(*pair)
            for name in self.nets.state_dict()
            for pair in THEIRS.items()
            if name.startswith(pair[0])
        }
        own = {name: state[theirs] for name, theirs in names.items()}
        self.nets.to(next(iter(own.values())).dtype).load_state_dict(own)
        self.optimizer = torch.optim.Adam(self.nets.parameters(), eps=1e-5)

    def reference_state(self):
        """The parameters under SB3's names."""
        own = self.nets.state_dict()
        return {
            f"{theirs}.{kind}": own[f"{ours}.{kind}"]
            for ours, theirs in THEIRS.items()
            for kind in ("weight", "bias")
        }

    def save(self, path):
        torch.save(self.nets.state_dict(), path)

    def load(self, path):
        self.nets.load_state_dict(torch.load(path, weights_only=True))
