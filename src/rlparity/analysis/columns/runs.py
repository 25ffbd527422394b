"""Columns of what runs leave behind: records, curves, time and memory."""

from __future__ import annotations

from rlparity.analysis.columns.column import (
    ARM,
    INTERVAL,
    KEY_MEANINGS,
    METRIC,
    RUN,
    SEED,
    columns,
    recorded,
)
from rlparity.records import SCHEMAS

CURVE = columns("protocol str deterministic, sampled, or training: returns of the training episodes")

TABLES = {
    "episodes": recorded(
        SCHEMAS["episodes"],
        KEY_MEANINGS
        | {
            "episode_return": "sum of the raw rewards of the episode",
            "episode_length": "environment steps of the episode",
        },
    ),
    "evaluations": recorded(
        SCHEMAS["evaluations"],
        KEY_MEANINGS
        | {
            "episode": "index of the episode within its evaluation",
            "protocol": "deterministic or sampled",
            "metric": "name of what was measured",
            "value": "the measured value, in the metric's unit; of a return, the sum of the raw rewards",
            "size": "how much it was measured on: environment steps of the episode",
        },
    ),
    "progress": recorded(
        SCHEMAS["progress"],
        KEY_MEANINGS
        | {
            "wall_time_s": "seconds since the cell started",
            "metric": "name of what update returned",
            "value": "its value",
        },
    ),
    "runs": SEED
    | columns("""
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
    "curves": ARM
    | METRIC
    | CURVE
    | columns("""
        env_step int nominal point of evaluation, environment steps
        iqm float inter-quartile mean over seeds of the mean value of an evaluation
    """)
    | INTERVAL
    | columns("""
        mean float mean over seeds
        seeds int seeds evaluated at this point
    """),
    "seed_curves": ARM
    | METRIC
    | CURVE
    | RUN
    | columns("""
        env_step int nominal point of evaluation, environment steps
        value float mean value of the evaluation
    """),
    "cost": ARM
    | columns("""
        seeds int seeds trained
        steps_per_second float environment steps of all seeds of a cell per second of training
        training_time_per_seed_s float seconds of training per seed
        evaluation_time_per_seed_s float seconds of evaluation per seed
        wall_time_per_seed_s float seconds from start to end of a cell, per seed
        peak_memory_mib float largest resident memory of a cell in MiB
    """),
    "throughput": columns("""
        algorithm str named configuration
        environment str Gymnasium id
        settings str hyperparameters.yaml, or the reference's defaults
        implementation str scratch, the implementation of a reference, a peer, or scratch@ and another commit
        seeds int seeds trained at once
        threads int threads of the processor
        device str cpu or cuda
        hardware str processor and its cores
        steps_per_second float environment steps of all seeds per second, median over rounds
        ratio_to_reference float the reference with one seed in the same round is 1, median over rounds
        peak_memory_mib float largest resident memory of a run in MiB
        ratio_min float smallest ratio of a round
        ratio_max float largest ratio of a round
        reference_steps_per_second float that of the reference in the same rounds, median; missing in old rows
        rounds int times it was measured
        budget int environment steps per seed
        gflops float matrix products that the updates need, 10^9 operations per second; missing if not counted
        machine_gflops float best rate of a large float32 product on that core, before and after each run
        configuration str hyper-parameters as JSON
        versions str packages and their versions
        commit str git commit that was measured
        kernel str? what computed our networks: Numba and its version, or off; missing for others
        core float? core that the runs were kept on; missing if they were not
        compile_s float? seconds of compilation, left out of steps_per_second; missing for others
        critic_share float? best rate of our critic's passes in units of a large product's, measured in turn
        rates str? environment steps of all seeds per second in each round, as JSON
    """),
}
