"""The files that `rlparity new agent` writes: an agent that learns at once, and its page."""

from __future__ import annotations

from string import Template

AGENT = Template('''\
"""$title. AUTHORS YEAR, and the algorithm or equation. As written: online Q-learning, Watkins 1989.

Departures from the paper:
- Adam instead of plain gradient steps;
- one step on all sub-environments at once instead of one after another;
- a time limit does not end a task: its transition bootstraps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlparity.environments.base import EnvSpec
from rlparity.nn import networks, optimizers
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES = [
    "Adam instead of plain gradient steps",
    "one step on all sub-environments at once instead of one after another",
    "a time limit does not end a task: its transition bootstraps",
]


@dataclass(frozen=True)
class ${class_name}Config:
    """No reference exists; the values are our own."""

    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    gamma: float = 0.99  # discount
    epsilon: float = 0.1  # probability of a random action
    net_arch: tuple[int, ...] = (64, 64)  # hidden units
    activation: Literal["tanh", "relu"] = "tanh"


def target(step: Step, next_q: Tensor, gamma: float) -> Tensor:
    """y = r + gamma * discount * max_a Q(s', a): next_q (S, N, A) -> (S, N)."""
    return targets.td_target(step.reward, step.discount, next_q, next_q, gamma)


class ${class_name}:
    """Acts epsilon-greedily; one gradient step after every step of the sub-environments."""

    def __init__(self, spec: EnvSpec, config: ${class_name}Config, random: Streams, budget: int):
        assert spec.n_actions is not None
        sizes = [*spec.obs_shape, *config.net_arch, spec.n_actions]
        generators = random.torch_generators("network")
        self.network = networks.Network({"q": networks.mlp(sizes)}, generators, config.activation)
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.optimizer = optimizers.Adam(self.network, alive=self.alive)
        self.config, self.budget, self.n_actions, self.n_envs = config, budget, spec.n_actions, spec.n_envs
        self.env_steps = 0
        self.uniforms = 2  # whether to explore, and with which action

    def q_values(self, obs: Tensor) -> Tensor:
        """Q(s, .) of observations (S, N, *obs) -> (S, N, A)."""
        found: Tensor = self.network("q", obs)
        return found.view(*obs.shape[:2], self.n_actions)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 2) -> action (S, N)."""
        best = self.q_values(obs).argmax(-1)
        if explore is None:
            return best
        anything = (explore[..., 1] * self.n_actions).long()
        return torch.where(explore[..., 0] < self.config.epsilon, anything, best)

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Learn from one step of N sub-environments."""
        self.env_steps += self.n_envs
        with torch.no_grad():
            y = target(step, self.q_values(step.next_obs), self.config.gamma)
        return self.update(step, y)

    def update(self, step: Step, y: Tensor) -> dict[str, Tensor]:
        """One gradient step towards the targets y (S, N)."""
        q = self.q_values(step.obs).gather(-1, step.action.unsqueeze(-1)).squeeze(-1)
        loss = targets.squared_error(q, y)
        self.optimizer.backward(loss)
        self.optimizer.step(schedules.learning_rate(self.config, self.env_steps, self.budget))
        return {"loss": loss.detach(), "q_mean": q.detach().mean(1)}

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.network}
''')

PAGE = Template("""\
# $title

WHAT IT DOES, in a sentence or two.

Source: [`agents/$folder/$agent.py`](../../src/rlparity/agents/$folder/$agent.py). Configurations: `$name`.

## Paper

AUTHORS, *TITLE*, YEAR.

## Equations

```math
y = r + \\gamma d \\max_a Q(s', a) \\qquad L = \\overline{(Q(s, a) - y)^2}
```

## Variants

None.

## Declared departures

<!-- generated: departures -->

- Adam instead of plain gradient steps
- one step on all sub-environments at once instead of one after another
- a time limit does not end a task: its transition bootstraps

<!-- end of departures -->

There is no reference to compare it with: reports show scores, and no verdict.

## Hyper-parameters

| name | default | meaning |
| --- | --- | --- |
| `learning_rate` | `0.001` | of Adam, epsilon 1e-8 |
| `learning_rate_schedule` | `constant` | `constant`, or `linear` to zero at the end of the budget |
| `gamma` | `0.99` | discount $$\\gamma$$ |
| `epsilon` | `0.1` | probability of a random action |
| `net_arch` | `[64, 64]` | hidden units |
| `activation` | `tanh` | `tanh` or `relu` |

Settings per environment, with their source, are in `workflow/resources/hyperparameters.yaml`.

## Probe results

THE TABLE that `python tests/support/probes.py $name` prints.

Three seeds at once, discount 0.9, one hidden layer of 32; the number is of the seed farthest off.
`test_probes.py` tests every number to within 0.05 (1 % of values beyond 5). Last digits may differ.
""")

CONFIGURATION = Template("""\
  $name:
    title: $title
    agent: $agent
    modes: [deterministic, sampled]
""")
ENTRY = Template('    "$agent": Entry("rlparity.agents.$folder.$agent:$class_name"),\n')
LINE = Template("- [$title](agents/$page.md): configuration `$name`.\n")
