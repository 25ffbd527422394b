"""Share of the core's product rate that passes of dense stacks reach, in turn: SEEDS ROWS SIZES [SIZES ...].

taskset -c 1 python tests/trials/passes.py 10 256 23,256,256,1 23,400,300,1
"""

from __future__ import annotations

import statistics
import sys

import torch

from rlparity.benchmark.flops import share_of_best
from rlparity.nn import networks

ROUNDS = 3


def main(seeds: int, rows: int, stacks: list[list[int]]) -> None:
    """Print the median and the extremes over the rounds, a line for each stack."""
    shares: dict[int, list[float]] = {i: [] for i in range(len(stacks))}
    for _ in range(ROUNDS):
        for i, sizes in enumerate(stacks):
            generators = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
            network = networks.Network({"q": networks.mlp(sizes)}, generators, "relu")
            shares[i].append(share_of_best(network, "q", sizes, rows))
    for i, sizes in enumerate(stacks):
        name, found = "-".join(map(str, sizes)), shares[i]
        print(f"{name}: {statistics.median(found):.2f} [{min(found):.2f}, {max(found):.2f}]")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [[int(n) for n in text.split(",")] for text in sys.argv[3:]])
