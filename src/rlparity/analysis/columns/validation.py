"""Columns of the layers of validation: update parity, lock-step, sensitivity to planted bugs."""

from __future__ import annotations

from rlparity.analysis.columns.column import columns

UPDATE = columns("""
    algorithm str agent from scratch, and the reference beside it
    configuration str what was compared
    dtype str float64 or float32
""")
STEPS = columns("""
    algorithm str agent from scratch, and the reference it keeps step with
    environment str Gymnasium id
    settings str where the hyper-parameters are from
    mode str replay or own-actions; "nudged": our agent beside a copy that differs in the last digit at first
""")
TRIAL = columns("""
    bug str id of the mutation, as in docs/method/mutations.md; none in a trial of the code as it is
    kind str bug, refactoring or harmless
    agent str named configuration
    environment str Gymnasium id
    layer str contract, parity, lockstep or statistics
""")
ORIGIN = columns("""
    hardware str processor and its cores
    versions str packages and their versions
    commit str git commit that was run
""")

TABLES = {
    "parity": UPDATE
    | columns("""
        updates int compared are the first so many: gradient steps (a2c, ppo), else minibatches or rollouts
        quantity str targets, losses, gradients, parameters or target networks
        max_relative_difference float largest max|a-b| / max|b| of a tensor; absolute for what starts as zeros
        tolerance float what it may be; infinite where the reference is compared with itself
        passed bool whether it is no more
    """),
    "parity_cases": UPDATE
    | columns("""
        passed bool whether every difference was within its tolerance
        first_difference str the first tensor that is off, in the order of computation; missing if none is
        seconds float both sides and the comparison
        options str hyper-parameters that differ from the defaults, as JSON
    """)
    | ORIGIN,
    "lockstep": STEPS
    | columns("""
        env_step int environment steps so far
        updates int rollouts or minibatches that both have learned from
        max_relative_difference float max|a-b| of the tensor furthest off, by the largest it has held so far
        first_difference str the first difference above the tolerance, once there is one
    """),
    "lockstep_runs": STEPS
    | columns("""
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
    """)
    | ORIGIN,
    "matrix": TRIAL
    | columns("""
        caught bool whether the layer alarmed; missing where it decided nothing or was not run
        seconds float from the start of the layer to its end or its alarm; missing where it was not run
    """),
    "trials": TRIAL
    | columns("""
        status str done or not run
        caught bool whether the layer alarmed; missing where it decided nothing or was not run
        seconds float from the start of the layer to its end or its alarm
        evidence str the first check that failed, or what the layer reports
        reason str why it was not run
        title str what the mutated code does
        source str where the mutation was seen, or own
        hides str where it cannot be seen
    """),
    "analysis": columns("""
        bug str id of the mutation of the analysis, as in docs/method/mutations.md
        kind str bug, refactoring or harmless
        first bool whether the checks alarmed when they were first run on it; never changed later
        caught bool whether they alarm now; missing where they were not run
        seconds float processor time until the first check that failed, or of all; imports not included
        status str done or not run
        evidence str the first check that failed
        reason str why they were not run
        title str what the mutated code does
        source str where the mutation was seen, or own
        hides str where it cannot be seen
        first_evidence str the first check that failed at the first run
        first_commit str git commit of the first run; "+" if the working tree differed
    """)
    | ORIGIN,
    "candidates": columns("""
        bug str id of the mutation, as in docs/method/mutations.md
        way str entry, entry-update, command or logs: how our mutated agent was brought to `rlparity validate`
        layer str contract, parity or statistics; that of logs takes in whether they can be read
        caught bool whether the layer alarmed; missing where it was not run
        seconds float processor time, imports and programs included; missing where it was not run
        kind str bug, refactoring or harmless
        agent str named configuration
        environment str Gymnasium id
        status str done or not run
        evidence str the first check that failed, or what the layer reports
        reason str why it was not run
        title str what the mutated code does
    """)
    | ORIGIN,
}
