"""The effect of rounding alone: a copy of our agent whose initial parameters differ in the last digit.

Some learners amplify every rounding error from update to update, like a chaotic system, so that two programs
that add in different orders part soon. The distance of an agent from its nudged copy shows whether two
learners that part differ in more than rounding.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import chain
from typing import Any

import torch

from rlparity.nn.networks import Network
from rlparity.transitions import Step
from rlparity.validation.lockstep.distance import RelativeDistance
from rlparity.validation.lockstep.random_draws import Draws, hand_over
from rlparity.validation.paired_models import PairedModels


class Nudged:
    """A copy of our agent with every parameter changed by one unit in the last place, for the same steps and
    draws."""

    def __init__(self, models: PairedModels):
        self._models, self._agent, self._draws = models, deepcopy(models.agent), Draws()
        self._measure = RelativeDistance(models.from_zero)
        hand_over(self._agent, self._draws)
        for network in vars(self._agent).values():
            if isinstance(network, Network):
                theta = network.theta.detach()
                theta.copy_(torch.nextafter(theta, torch.full_like(theta, torch.inf)))

    def observe(self, step: Step, draws: Draws) -> Any:
        """Let the copy observe a step with the draws that the agent will use."""
        self._draws.copy(draws)
        return self._agent.observe(step)

    def distance(self) -> float:
        """The largest distance of a parameter from the agent's, see `RelativeDistance`."""
        networks = {each.network for each in self._models.counterparts}
        nudged = (self._models.lay(name, getattr(self._agent, name).theta) for name in networks)
        return max(self._measure(dict(chain.from_iterable(nudged)), self._models.ours()).values())
