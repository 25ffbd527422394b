"""The columns of every table, CSV or Parquet: names, dtypes, and what they hold, with the unit."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """One column: a key of `DTYPES`, and what it holds, with the unit."""

    dtype: str
    meaning: str


DTYPES = {  # dtype of a column -> (pandas, Parquet); a whole number that may be missing is a "float"
    "str": ("str", pa.string()),
    "int": ("int64", pa.int64()),
    "float": ("float64", pa.float64()),
    "bool": ("boolean", pa.bool_()),
}


def _columns(text: str) -> dict[str, Column]:
    """Columns from lines of "name dtype meaning"."""
    split = (line.split(maxsplit=2) for line in text.strip().splitlines())
    return {name: Column(dtype, meaning) for name, dtype, meaning in split}


ARM = _columns("""
    implementation str scratch, sb3, or the name of a candidate
    algorithm str named configuration
    environment str Gymnasium id
""")
SEED = ARM | _columns("seed int seed of the run")
CLOCK = SEED | _columns("env_step int environment steps of this seed so far")
GAME = _columns("""
    episode_return float sum of the raw rewards of the episode
    episode_length int environment steps of the episode
""")
INTERVAL = _columns("""
    ci_low float lower end of the 95 % interval
    ci_high float upper end of the 95 % interval
""")
PAIR = _columns("""
    algorithm str named configuration
    environment str Gymnasium id
    endpoint str auc or final
    implementation str the implementation that is judged
    reference str what it is judged against, implementation/algorithm
""")

STEPS = _columns("""
    algorithm str agent from scratch, and the reference it keeps step with
    environment str Gymnasium id
    settings str where the hyper-parameters are from
    mode str replay or own-actions; "nudged": our agent beside a copy that starts in the last digit off
""")
UPDATE = _columns("""
    algorithm str agent from scratch, and the reference beside it
    configuration str what was compared
    dtype str float64 or float32
""")
TRIAL = _columns("""
    bug str id of the mutation, as in docs/mutations.md; none in a trial of the code as it is
    kind str bug, refactoring or harmless
    agent str named configuration
    environment str Gymnasium id
    layer str contract, parity, lockstep or statistics
""")

TABLES: dict[str, dict[str, Column]] = {
    "episodes": CLOCK | GAME,
    "evaluations": CLOCK
    | _columns("""
        episode int index of the episode within its evaluation
        protocol str deterministic or sampled
    """)
    | GAME,
    "progress": CLOCK
    | _columns("""
        wall_time_s float seconds since the cell started
        metric str name of what update returned
        value float its value
    """),
    "runs": SEED
    | _columns("""
        status str done, failed, or unfinished: a report of a suite still in training
        reason str why the seed failed
        budget int environment steps per seed
        n_envs int sub-environments per seed
        steps_per_second float environment steps of all seeds of the cell per second of training
        training_time_s float seconds of training, whole cell
        evaluation_time_s float seconds of evaluation, whole cell
        wall_time_s float seconds from start to end, whole cell
        startup_time_s float seconds of imports and set-up, whole cell
        peak_memory_mib float largest resident memory of the cell in MiB
        seeds_in_cell int seeds trained together
        fingerprint str hash of all that the records depend on
        commit str git commit that made the records
        dirty bool whether the working tree differed from it
        cell str folder of the cell below results
    """),
    "scores": SEED
    | _columns("""
        endpoint str final (return), auc (return), or time_to_threshold (environment steps)
        value float score of the seed; missing where the seed failed or never reached the threshold
    """),
    "summary": ARM
    | _columns("""
        endpoint str final or auc
        statistic str iqm, mean or median over the seeds
        estimate float return
    """)
    | INTERVAL
    | _columns("""
        seeds int seeds that have a score
        failed_seeds str seeds that have none, by number
    """),
    "verdicts": PAIR
    | _columns("""
        verdict str EQUIVALENT, WORSE, BETTER, INCONCLUSIVE, INCONCLUSIVE (reference did not learn)
        difference float mean of the implementation minus mean of the reference, return
        ci90_low float lower end of Welch's 90 % interval of the difference, return
        ci90_high float its upper end
        ci95_low float lower end of Welch's 95 % interval of the difference, return
        ci95_high float its upper end
        margin float largest difference that counts as equivalent, as a fraction of distance
        smallest_margin float smallest margin at which equivalence would hold, as a fraction of distance
        p_difference float p of Welch's test of no difference
        p_holm float the same, adjusted after Holm over all rows of this table
        p_equivalence float larger p of the two one-sided tests at the margin
        seeds_implementation int seeds of the implementation that have a score
        seeds_reference int seeds of the reference that have a score
        seeds_needed str seeds per arm that show equivalence at 80 % power if the true difference is 0
        reason str why the verdict is inconclusive
        failed_seeds str seeds without a score, by implementation
        distance float |mean of the reference - mean of the random agent|, return
        mean_implementation float return
        mean_reference float return
        mean_random float return
    """),
    "paper": _columns("""
        algorithm str named configuration
        environment str Gymnasium id
        source str source_id of the published row
        published float published return
        published_spread float its spread, of the kind in spread_kind
        ours float mean final return over the seeds
        ci_low float lower end of Student's 95 % interval of ours
        ci_high float its upper end
        verdict str REPLICATED, NOT REPLICATED or NOT COMPARABLE
        differs_in str what makes it not comparable
        implementation str whose score ours is
        seeds int seeds behind ours
        failed_seeds str seeds that have no score, by number
        budget int environment steps per seed, ours
        margin float tolerance around our interval, return
        published_algorithm str its name there
        published_environment str Gymnasium id there
        published_budget float environment steps there
        published_protocol str how it was evaluated there
        published_seeds float seeds there
        spread_kind str sd, se, ci95, none or unstated
        citation str document and address
        provenance str primary: seen where made; transcribed: in copies of that; secondary: quoted
        published_metric str mean episode return, max average return, ...: which return it is
        published_low float lower end of its spread where that is an interval, return
        published_high float upper end
        ours_same_protocol float where it is a max average return: ours as one, over our evaluations
        published_preset str Atari: the preset that emulates games as there, or how it differs from any
        published_frames float Atari: emulator frames there; as printed where published_budget is missing
    """),
    "human_normalised": ARM
    | _columns("""
        statistic str iqm, mean or median: over the seeds of a game, or over games and seeds
        estimate float final return as (x - random) / (human - random): 0 is random, 1 is human
    """)
    | INTERVAL
    | _columns("""
        games int games behind the estimate; over games, environment is ALE/*-v5@ and the preset
        seeds int seeds that have a score, of the game that has the fewest
        failed_seeds str seeds that have none, by number
        budget float environment steps per seed; missing where games differ
        random float return of the random agent that 0 stands for
        human float return of the human that 1 stands for
        citation str document and address of these two
    """),
    "dqn2013": _columns("""
        implementation str published, or whose score it is
        algorithm str its name in the paper, or named configuration
        environment str Gymnasium id; of a published row, the game
        game str column of the paper's Table 1
        metric str which return it is
        value float return; ours is the mean final return over the seeds
    """)
    | INTERVAL
    | _columns("""
        seeds float seeds that have a score
        failed_seeds str seeds that have none, by number
        budget float environment steps per seed, ours
        published_frames float frames there as printed, whether the emulator's or the agent's is not told
        citation str document and address
    """),
    "curves": ARM
    | _columns("""
        protocol str deterministic, sampled, or training: returns of the games that were learnt from
        env_step int nominal point of evaluation, environment steps
        iqm float inter-quartile mean over seeds of the mean return of an evaluation
    """)
    | INTERVAL
    | _columns("""
        mean float mean over seeds
        seeds int seeds evaluated at this point
    """),
    "seed_curves": ARM
    | _columns("""
        protocol str deterministic, sampled, or training: returns of the games that were learnt from
        seed int seed of the run
        env_step int nominal point of evaluation, environment steps
        value float mean return of the evaluation
    """),
    "profiles": ARM
    | _columns("""
        tau float final return
        fraction float share of the seeds whose final return exceeds tau
    """)
    | INTERVAL,
    "improvement": _columns("""
        algorithm str named configuration
        environment str Gymnasium id
        implementation str the implementation that is judged
        reference str what it is judged against, implementation/algorithm
        endpoint str auc or final
        probability float chance that one of its seeds scores above one of the reference's, ties half
    """)
    | INTERVAL,
    "thresholds": ARM
    | _columns("""
        threshold float return at which the task counts as solved
        reached int seeds with an evaluation at or above it
        seeds int all seeds; those that did not reach it are censored at the budget
        median_env_step float median of the first such evaluation; missing where half or more are censored
        budget int environment steps per seed, where the others are censored
        failed_seeds str seeds that failed (censored there), by number
    """),
    "cost": ARM
    | _columns("""
        seeds int seeds trained
        steps_per_second float environment steps of all seeds of a cell per second of training
        training_time_per_seed_s float seconds of training per seed
        evaluation_time_per_seed_s float seconds of evaluation per seed
        wall_time_per_seed_s float seconds from start to end of a cell, per seed
        peak_memory_mib float largest resident memory of a cell in MiB
    """),
    "throughput": _columns("""
        algorithm str named configuration
        environment str Gymnasium id
        settings str hyperparameters.yaml, or SB3's defaults
        implementation str scratch or sb3
        seeds int seeds trained at once
        threads int threads of the processor
        device str cpu or cuda
        hardware str processor and its cores
        steps_per_second float environment steps of all seeds per second, median over rounds
        ratio_to_reference float that of sb3 with one seed in the same round is 1, median over rounds
        peak_memory_mib float largest resident memory of a run in MiB
        ratio_min float smallest ratio of a round
        ratio_max float largest ratio of a round
        reference_steps_per_second float that of the reference in the same rounds, median; missing in old rows
        rounds int times it was measured
        budget int environment steps per seed
        gflops float matrix products that the updates need, 10^9 operations per second; missing if not counted
        machine_gflops float best rate of a large matrix product on one thread in the same runs
        configuration str hyper-parameters as JSON
        versions str packages and their versions
        commit str git commit that was measured
    """),
    "false_differences": _columns("""
        algorithm str configuration of the reference whose seeds were drawn
        environment str Gymnasium id
        seeds int seeds in each of the two disjoint draws
        draws int pairs of draws
        endpoint str auc, final, or either: at least one of the two
        different float share of pairs that the verdict called WORSE or BETTER
        ci_low float lower end of Wilson's 95 % interval of that share
        ci_high float its upper end
        unadjusted float share with p below 0.05 in Welch's test alone
        equivalent float share that the verdict called EQUIVALENT
        pool int seeds that were drawn from
    """),
    "power": _columns("""
        algorithm str configuration of the reference whose seeds were drawn
        environment str Gymnasium id
        endpoint str auc or final
        margin float share of the distance from random to reference
        seeds int seeds in each of the two disjoint draws
        draws int pairs of draws
        equivalent float share called EQUIVALENT where the true difference is zero
        planned float power of the same by the formula behind seeds_needed
        equivalent_at_margin float share called EQUIVALENT where one arm lies a whole margin lower
        worse_at_margin float share of those called WORSE, by one verdict alone
        worse_at_twice float share called WORSE where it lies two margins lower
        pool int seeds that were drawn from
    """),
    "parity": UPDATE
    | _columns("""
        updates int compared are the first so many: gradient steps (a2c, ppo), else minibatches or rollouts
        quantity str targets, losses, gradients, parameters or target networks
        max_relative_difference float largest max|a-b| / max|b| of a tensor; absolute for what starts as zeros
        tolerance float what it may be; infinite where the reference is compared with itself
        passed bool whether it is no more
    """),
    "parity_cases": UPDATE
    | _columns("""
        passed bool whether every difference was within its tolerance
        first_difference str the first tensor that is off, in the order of computation; missing if none is
        seconds float both sides and the comparison
        options str hyper-parameters that differ from the defaults, as JSON
        hardware str processor and its cores
        versions str packages and their versions
        commit str git commit that was run
    """),
    "lockstep": STEPS
    | _columns("""
        env_step int environment steps so far
        updates int rollouts or minibatches that both have learned from
        max_relative_difference float max|a-b| of the tensor furthest off, by the largest it has held so far
        first_difference str the first difference above the tolerance, once there is one
    """),
    "lockstep_runs": STEPS
    | _columns("""
        env_steps int environment steps that both learners took
        updates int rollouts or minibatches that both learned from
        episodes int episodes that ended
        cut int those that the time limit ended
        largest float largest max_relative_difference of a parameter on the way
        tolerance float of relative differences, of parameters and of what they are learned from
        verdict str together, rounding (they part as one of them does from itself) or part
        first_difference str the first difference above the tolerance; missing if there is none
        seconds float both learners, comparisons and the nudged copy included
        configuration str hyper-parameters as JSON
        hardware str processor and its cores
        versions str packages and their versions
        commit str git commit that was run
    """),
    "matrix": TRIAL
    | _columns("""
        caught bool whether the layer alarmed; missing where it decided nothing or was not run
        seconds float from the start of the layer to its end or its alarm; missing where it was not run
    """),
    "trials": TRIAL
    | _columns("""
        status str done or not run
        caught bool whether the layer alarmed; missing where it decided nothing or was not run
        seconds float from the start of the layer to its end or its alarm
        evidence str the first check that failed, or what the layer says
        reason str why it was not run
        title str what the mutated code does
        source str where the mutation was seen, or own
        hides str where it cannot be seen
    """),
}
