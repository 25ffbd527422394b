"""PPO for discrete actions in plain PyTorch, as somebody else might have written it. To validate it:

rlparity validate examples/tiny_ppo.py:TinyPPO --against sb3/ppo --suite cartpole
"""

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical


def network(sizes, gains):
    layers = []
    for inputs, outputs, gain in zip(sizes, sizes[1:], gains, strict=False):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
        nn.init.orthogonal_(layers[-2].weight, gain)
        nn.init.zeros_(layers[-2].bias)
    return nn.Sequential(*layers[:-1])


class TinyPPO:
    def __init__(self, observation_space, action_space, hyperparameters):
        self.hp = hyperparameters
        for name in ("clip_range_vf", "target_kl"):
            if self.hp.get(name) is not None:
                raise NotImplementedError(name)  # parity names it, and does not fail
        self.sizes = observation_space.shape[0], int(action_space.n)
        self.build()

    def build(self):
        (n_inputs, n_actions), root = self.sizes, 2**0.5
        self.actor = network((n_inputs, 64, 64, n_actions), (root, root, 0.01))
        self.critic = network((n_inputs, 64, 64, 1), (root, root, 1.0))
        self.nets = nn.ModuleDict({"actor": self.actor, "critic": self.critic})
        self.optimizer = torch.optim.Adam(self.nets.parameters(), eps=1e-5)

    def value(self, obs):
        return self.critic(obs)[..., 0]

    @torch.no_grad()
    def act(self, obs, deterministic):
        logits = self.actor(torch.as_tensor(obs))
        return (logits.argmax(-1) if deterministic else Categorical(logits=logits).sample()).numpy()

    def train(self, make_env, seed, budget):
        torch.manual_seed(seed)
        self.build()
        envs = [make_env(i) for i in range(self.hp["n_envs"])]
        obs, steps = np.stack([env.reset()[0] for env in envs]), 0
        while steps < budget:
            taken = []
            for _ in range(self.hp["n_steps"]):
                action = self.act(obs, deterministic=False)
                shown = [self.step(env, a) for env, a in zip(envs, action, strict=True)]
                following, *outcome = (np.stack(column) for column in zip(*shown, strict=True))
                taken.append((obs, action, *outcome))
                obs, steps = following, steps + len(envs)
            batch = self.collect([torch.as_tensor(np.stack(x)) for x in zip(*taken, strict=True)], obs)
            orders = [torch.randperm(len(batch["actions"])) for _ in range(self.hp["n_epochs"])]
            self.update(batch, {"permutations": orders, "progress_remaining": 1 - steps / budget})

    @torch.no_grad()
    def step(self, env, action):
        """Next observation; reward, whether the task ended, whether a time limit cut it, V of what it cut."""
        obs, reward, ended, cut, _ = env.step(action)
        final = self.value(torch.as_tensor(obs)).numpy() if cut and not ended else np.float32(0)
        following = env.reset()[0] if ended or cut else obs
        return following, np.float32(reward), np.float32(ended), np.float32(cut and not ended), final

    @torch.no_grad()
    def collect(self, taken, next_obs):
        """The steps of a rollout (T, N, ...) as a batch (B, ...)."""
        obs, action, reward, ended, cut, final = taken
        names = ("rewards", "values", "terminated", "truncated", "final_values", "last_values")
        values, last = self.value(obs), self.value(torch.as_tensor(next_obs))
        prepared = self.prepare(dict(zip(names, (reward, values, ended, cut, final, last), strict=True)))
        log_prob = Categorical(logits=self.actor(obs)).log_prob(action)
        columns = {"observations": obs, "actions": action, "old_values": values, "old_log_prob": log_prob}
        return {name: x.flatten(0, 1) for name, x in (columns | prepared).items()}

    def prepare(self, rollout):
        """Generalised advantages and value targets (T, N); names are those that parity hands over."""
        values, gamma, decay = rollout["values"], self.hp["gamma"], self.hp["gamma"] * self.hp["gae_lambda"]
        # a time limit ends the episode, not the task
        rewards = rollout["rewards"] + gamma * rollout["truncated"] * rollout["final_values"]
        goes_on = 1 - rollout["terminated"] - rollout["truncated"]
        following = torch.cat([values[1:], rollout["last_values"][None]])
        advantages = [torch.zeros_like(rollout["last_values"])]
        for t in reversed(range(len(rewards))):
            delta = rewards[t] + gamma * goes_on[t] * following[t] - values[t]
            advantages.append(delta + decay * goes_on[t] * advantages[-1])
        found = torch.stack(advantages[:0:-1])
        return {"advantages": found, "returns": found + values}

    def update(self, batch, draws):
        """Epochs over a batch in given orders; names are those that update parity hands over."""
        rate, clip = (self.scheduled(name, draws) for name in ("learning_rate", "clip_range"))
        self.optimizer.param_groups[0]["lr"] = rate
        for order in draws["permutations"]:
            for index in order.split(self.hp["batch_size"]):
                b = {name: x[index] for name, x in batch.items()}
                policy = Categorical(logits=self.actor(b["observations"]))
                advantage = (b["advantages"] - b["advantages"].mean()) / (b["advantages"].std() + 1e-8)
                ratio = (policy.log_prob(b["actions"]) - b["old_log_prob"]).exp()
                gain = torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
                error = (b["returns"] - self.value(b["observations"])).square().mean()
                loss = self.hp["vf_coef"] * error - gain - self.hp["ent_coef"] * policy.entropy().mean()
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.nets.parameters(), self.hp["max_grad_norm"])
                self.optimizer.step()

    def scheduled(self, name, draws):
        linear = self.hp[f"{name}_schedule"] == "linear"
        return self.hp[name] * (draws["progress_remaining"] if linear else 1)

    # Optional: checkpoints, and update parity

    def save(self, path):
        torch.save(self.nets.state_dict(), path)

    def load(self, path):
        self.nets.load_state_dict(torch.load(path, weights_only=True))

    def load_reference(self, state):
        own = {name: state[theirs] for name, theirs in self.theirs().items()}
        self.nets.to(next(iter(own.values())).dtype).load_state_dict(own)
        self.optimizer = torch.optim.Adam(self.nets.parameters(), eps=1e-5)

    def reference_state(self):
        own = self.nets.state_dict()
        return {theirs: own[name] for name, theirs in self.theirs().items()}

    def theirs(self):
        """Our names of parameters, and Stable-Baselines3's."""
        places = {
            "actor.4": "action_net",
            "critic.4": "value_net",
            "actor": "mlp_extractor.policy_net",
            "critic": "mlp_extractor.value_net",
        }
        found = {}
        for name in self.nets.state_dict():
            place = next(place for place in places if name.startswith(place))
            found[name] = places[place] + name.removeprefix(place)
        return found
