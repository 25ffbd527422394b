"""More bugs of DDPG, TD3 and SAC."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.nn import networks, optimizers
from rlparity.nn.distributions import gaussian
from rlparity.objectives import targets
from rlparity.validation.mutations.mutation import MutationSet, Patch

ddpg, td3, sac = (agents.module(name) for name in ("ddpg", "td3", "sac"))
bug = MutationSet(source="own")


@bug("C9", "the actor climbs the lower of the two critics, not the first", "td3 Pendulum-v1")
def c9(patch: Patch) -> None:
    def update_actor(self: Any, obs: Tensor, rate: float) -> None:
        both = torch.cat([obs, self.policy(self.actor, obs)], -1)
        loss = -torch.minimum(*(self.critic(name, both, constant=True) for name in ("q1", "q2"))).mean(1)
        self.actor_optimizer.backward(loss)
        self.actor_optimizer.step(rate)
        for target, online in ((self.critic_target, self.critic), (self.actor_target, self.actor)):
            optimizers.polyak(target, online, self.config.tau, self.alive)
        self.actor_loss.copy_(loss.detach())

    patch.replace(td3.TD3, "update_actor", update_actor)


@bug("C20", "a smoothed action may leave the bounds", "td3 Pendulum-v1", hides="actions far from the bounds")
def c20(patch: Patch) -> None:
    patch.replace(td3, "smoothed", lambda action, noise, clip: action + noise.clamp(-clip, clip))


@bug("C11", "width and clip of the smoothing noise are exchanged", "td3 Pendulum-v1")
def c11(patch: Patch) -> None:
    exchanged = {"target_policy_noise": "target_noise_clip", "target_noise_clip": "target_policy_noise"}
    patch.configure("td3", lambda config: {new: getattr(config, old) for new, old in exchanged.items()})


@bug("C12", "targets follow after every update, not with every delayed one", "td3 Pendulum-v1")
def c12(patch: Patch) -> None:
    def around(learn: Any, self: Any, batch: Any, normal: Tensor, with_actor: bool) -> Any:
        metrics = learn(self, batch, normal, with_actor)
        if not with_actor:
            optimizers.polyak(self.critic_target, self.critic, self.config.tau, self.alive)
            optimizers.polyak(self.actor_target, self.actor, self.config.tau, self.alive)
        return metrics

    patch.wrap(td3.TD3, "learn", around)


@bug("C13", "the target's action is the online actor's, not the slow one's", "ddpg Pendulum-v1")
def c13(patch: Patch) -> None:
    def around(policy: Any, self: Any, actor: Any, obs: Tensor) -> Any:
        return policy(self, self.actor, obs)

    patch.wrap(ddpg.DDPG, "policy", around)


@bug(
    "C14",
    "both critics start from the same weights, and stay the same",
    "td3 Pendulum-v1",
    "EdanToledo/Stoix#72",
)
def c14(patch: Patch) -> None:
    def around(build: Any, self: Any, *arguments: Any) -> None:
        build(self, *arguments)
        for network in (self.critic, self.critic_target):
            for first, second in zip(network.stacks["q1"], network.stacks["q2"], strict=True):
                for a, b in zip(first, second, strict=True):
                    b.detach().copy_(a.detach())

    patch.wrap(td3.TD3, "__init__", around)


@bug("C15", "of the target critics only the first follows", "sac Pendulum-v1")
def c15(patch: Patch) -> None:
    def around(polyak: Any, target: Any, online: Any, *rest: Any) -> None:
        held = [leaf.detach().clone() for layer in target.stacks["q2"] for leaf in layer]
        polyak(target, online, *rest)
        for leaf, before in zip((x for layer in target.stacks["q2"] for x in layer), held, strict=True):
            leaf.detach().copy_(before)

    patch.wrap(optimizers, "polyak", around)


@bug(
    "C16",
    "exploration noise may carry a stored action beyond -1 and 1",
    "ddpg Pendulum-v1",
    hides="actions far from the bounds",
)
def c16(patch: Patch) -> None:
    def act(self: Any, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        action = self.policy(self.actor, obs)
        if explore is not None:
            anything, noise = explore.chunk(2, -1)
            action = 2 * anything - 1 if self.env_steps < self.config.learning_starts else action
            action = action + self.config.noise_std * gaussian.normal(noise)
        found: Tensor = self.bounds.from_unit(action.view(*obs.shape[:2], *self.action_shape))
        return found

    patch.replace(ddpg.DDPG, "act", torch.no_grad()(act))


@bug(
    "C17",
    "actions are learned from the first step on, not uniform until learning starts",
    "td3 Pendulum-v1",
    hides="learning_starts 0",
)
def c17(patch: Patch) -> None:
    def around(act: Any, self: Any, *arguments: Any) -> Any:
        now, self.env_steps = self.env_steps, max(self.env_steps, self.config.learning_starts)
        action = act(self, *arguments)
        self.env_steps = now
        return action

    patch.wrap(td3.TD3, "act", around)


@bug("C18", "actions are chosen without exploration noise", "td3 Pendulum-v1")
def c18(patch: Patch) -> None:
    patch.configure("td3", lambda config: {"noise_std": 0.0})


@bug(
    "S9",
    "the critics' target lacks the entropy of the next action",
    "sac Pendulum-v1",
    hides="small temperatures",
)
def s9(patch: Patch) -> None:
    def around(update: Any, self: Any, batch: Any, alpha: Tensor, *rest: Any) -> Any:
        return update(self, batch, 0 * alpha, *rest)

    patch.wrap(sac.SAC, "update_critics", around)


@bug("S10", "the noise of the actions at s serves those at s', too", "sac Pendulum-v1")
def s10(patch: Patch) -> None:
    def around(update: Any, self: Any, batch: Any, normal: Tensor, *rest: Any) -> Any:
        return update(self, batch, normal[:, :1].expand_as(normal), *rest)

    patch.wrap(sac.SAC, "update", around)


@bug(
    "S11",
    "the actor climbs the first critic, not the lower of two",
    "sac Pendulum-v1",
    "BY571/Soft-Actor-Critic-and-Extensions#2",
)
def s11(patch: Patch) -> None:
    def around(
        values: Any, self: Any, critic: Any, obs: Tensor, action: Tensor, constant: bool = False
    ) -> Any:
        q1, q2 = values(self, critic, obs, action, constant)
        return (q1, q1) if constant else (q1, q2)

    patch.wrap(sac.SAC, "values", around)


@bug("S12", "the deterministic action is the mean before tanh", "sac Pendulum-v1", hides="small means")
def s12(patch: Patch) -> None:
    def around(act: Any, self: Any, obs: Tensor, explore: Tensor | None = None) -> Any:
        if explore is not None:
            return act(self, obs, explore)
        mean, _ = self.policy(obs)
        return self.bounds.from_unit(mean.view(*obs.shape[:2], *self.action_shape))

    patch.wrap(sac.SAC, "act", torch.no_grad()(around))


@bug(
    "S13",
    "the log-probability in the actor's loss has no gradient",
    "sac Pendulum-v1",
    hides="small temperatures",
)
def s13(patch: Patch) -> None:
    def around(sample: Any, self: Any, obs: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        action, log_prob = sample(self, obs, normal)
        return action, log_prob.detach()

    patch.wrap(sac.SAC, "sample", around)


@bug("S14", "log-probabilities are of the squashed action under the plain Gaussian", "sac Pendulum-v1")
def s14(patch: Patch) -> None:
    def sample(self: Any, obs: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.policy(obs)
        action = networks.tanh(mean + log_std.exp() * normal)
        log_prob = gaussian.log_prob(mean, log_std, action)
        return action, gaussian.squashed_log_prob(log_prob, action)

    patch.replace(sac.SAC, "sample", sample)


@bug("S15", "the temperature descends where it has to climb", "sac Pendulum-v1", hides="a fixed temperature")
def s15(patch: Patch) -> None:
    patch.wrap(sac, "temperature_loss", lambda loss, *arguments: -loss(*arguments))


@bug("C19", "the discount is applied to the reward, too", "ddpg Pendulum-v1")
def c19(patch: Patch) -> None:
    def around(target: Any, reward: Tensor, discount: Tensor, value: Tensor, gamma: float) -> Any:
        return target(gamma * reward, discount, value, gamma)

    patch.wrap(targets, "one_step", around)


MUTATIONS = bug.mutations
