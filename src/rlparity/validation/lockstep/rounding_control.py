"""How far rounding alone carries a learner: our agent beside itself, its start off in the last digit.

Some learners magnify every rounding error from update to update, as a chaotic system does, so that no two
programs that add in different orders stay together for long. How fast a learner parts from itself tells
whether two that part differ in more than rounding.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import chain
from typing import Any

import torch

from rlparity.nn.networks import Network
from rlparity.records import Step
from rlparity.validation.lockstep.distance import Yardstick
from rlparity.validation.lockstep.random_draws import Draws, hand_over
from rlparity.validation.paired_models import PairedModels


class Nudged:
    """A copy of our agent, each parameter one unit in the last place off, that gets the same steps and
    draws."""

    def __init__(self, twins: PairedModels):
        self._twins, self._agent, self._draws = twins, deepcopy(twins.agent), Draws()
        self._measure = Yardstick(twins.from_zero)
        hand_over(self._agent, self._draws)
        for network in vars(self._agent).values():
            if isinstance(network, Network):
                theta = network.theta.detach()
                theta.copy_(torch.nextafter(theta, torch.full_like(theta, torch.inf)))

    def observe(self, step: Step, draws: Draws) -> Any:
        """Take a step with the draws that the agent itself is about to use up."""
        self._draws.copy(draws)
        return self._agent.observe(step)

    def distance(self) -> float:
        """The largest distance of a parameter from the agent's own, see `Yardstick`."""
        networks = {each.network for each in self._twins.counterparts}
        nudged = (self._twins.lay(name, getattr(self._agent, name).theta) for name in networks)
        return max(self._measure(dict(chain.from_iterable(nudged)), self._twins.ours()).values())
