"""Families of tests, pairs of arms and margins, on pairs whose numbers are worked out by hand."""

from __future__ import annotations

from typing import Any

from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.by_hand.verdict_rules import at
from rlparity.analysis.checks.check import Group, inside, near, row, same
from rlparity.analysis.checks.made_up import FLOOR, PLACE, plan, rows, scores, verdict

CHECKS = Group()


def _three(**more: Any) -> list[dict[str, Any]]:
    """Three pairs with p of 0.03, 0.02 and 0.04 or about, and one whose reference did not learn."""
    table: list[dict[str, Any]] = []
    for name, t in {"a": 2.63, "b": 2.9, "c": 2.45}.items():
        for endpoint in ("auc", "final"):
            table += scores({("scratch", name): at(100 + t), ("sb3", name): at(100)}, endpoint)
    for endpoint in ("auc", "final"):
        table += scores({("scratch", "d"): at(50), ("sb3", "d"): at(0), FLOOR: at(0)}, endpoint)
    return rows(table, plan("a", "b", "c", "d", margin=0.01, **more))


@CHECKS
def families() -> None:
    """Holm runs over the primary endpoints that can be decided, and apart over the secondary ones."""
    p = {name: 2 * exact.t_above(t, 8) for name, t in {"a": 2.63, "b": 2.9, "c": 2.45}.items()}
    second = max(3 * p["b"], 2 * p["a"])
    adjusted = {"b": 3 * p["b"], "a": second, "c": max(second, p["c"])}
    for found in _three():
        name = found["algorithm"]
        role = "primary" if found["endpoint"] == "auc" else "secondary"
        row(
            f"{name} {role}", found, role=role, family_size=3 if name != "d" else 0, p_holm=adjusted.get(name)
        )
        if name != "d":
            row(
                name,
                found,
                p_difference=p[name],
                verdict="BETTER" if adjusted[name] < 0.05 else "INCONCLUSIVE",
            )
    for found in _three(family="row"):
        name = found["algorithm"]
        row(f"{name} alone", found, p_holm=p.get(name), family_size=int(name != "d"))
    ordered = _three(primary="final")
    primary = [line["endpoint"] for line in ordered if line["role"] == "primary"]
    same("primary endpoint", primary, ["final"] * 4)
    same("order", [line["endpoint"] for line in ordered[:2]], ["final", "auc"])
    same("order of pairs", [line["algorithm"] for line in ordered], list("aabbccdd"))


@CHECKS
def pairs() -> None:
    """Arms are judged against the reference of their configuration and the plain one, references never."""
    about = plan("ppo", "ppo-fast")
    about["algorithms"]["ppo-fast"] = {"reference": None, "plain": "ppo"}
    about["algorithms"]["ours"] = {"reference": {"implementation": "scratch", "algorithm": "ppo"}}
    about["environments"][PLACE]["algorithms"].append("ours")
    arms: dict[tuple[str, str], list[float]] = {
        ("scratch", "ppo"): at(100),
        ("sb3", "ppo"): at(100),
        ("scratch", "ppo-fast"): at(60),
        FLOOR: at(0),
    }
    arms |= {
        ("scratch", "ours"): at(140),
        ("theirs", "ppo"): at(100),
        ("theirs", "ours"): at(60),
        ("sb3", "ours"): at(7),
    }
    found = [line for line in rows(scores(arms), about) if line["endpoint"] == "auc"]
    wanted = [
        ("scratch", "ppo", "sb3/ppo", "EQUIVALENT"),
        ("theirs", "ppo", "sb3/ppo", "EQUIVALENT"),
        ("scratch", "ppo-fast", "scratch/ppo", "WORSE"),
        ("scratch", "ours", "scratch/ppo", "BETTER"),
        ("theirs", "ours", "scratch/ppo", "WORSE"),
    ]
    keys = ("implementation", "algorithm", "reference", "verdict")
    same("pairs", [tuple(line[key] for key in keys) for line in found], wanted)


@CHECKS
def margins() -> None:
    """An environment's own margin of a metric takes the place of the suite's."""
    about = plan("ppo", margin=0.01)
    about["environments"][PLACE]["margins"] = {"return": 0.2}
    arms = {("scratch", "ppo"): at(103), ("sb3", "ppo"): at(100), FLOOR: at(0)}
    row("own margin", rows(scores(arms), about)[0], margin=0.2, verdict="EQUIVALENT")
    about["environments"][PLACE]["margins"] = {"error": 0.2}
    row("another metric's", rows(scores(arms), about)[0], margin=0.01, verdict="BETTER")
    near("p at its margin", verdict(at(120), at(100))["p_equivalence"], 0.5)
    inside("p beyond its margin", verdict(at(121), at(100))["p_equivalence"], 0.5001, 1.0)
