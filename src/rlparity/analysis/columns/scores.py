"""Columns of scores over seeds, verdicts, and comparisons with published numbers."""

from __future__ import annotations

from rlparity.analysis.columns.column import ARM, INTERVAL, METRIC, RUN, columns

PLACE = columns("""
    algorithm str named configuration
    environment str Gymnasium id
""")
PAIR = columns("""
    implementation str the implementation that is judged
    reference str the arm it is judged against, implementation/algorithm
""")
DRAWS = columns("""
    algorithm str configuration of the reference whose seeds were drawn
    environment str Gymnasium id
""")

SEQUENTIAL = columns("""
    pool str arm whose seeds were drawn with replacement; or all pools, a family of one pair from each
    draws_from str pool: the scores themselves; smooth: a smooth fit to them
    shift float margins by which the judged arm is better than the reference
    asked str both questions, or difference or equivalence alone
    pairs int pairs in a family, over which Holm's procedure runs
    design str error spending over the looks at 5 to 40 seeds; or a fixed number of seeds; or adastop
    draws int families drawn
    equivalent float share of pairs called EQUIVALENT
    worse float share of pairs called WORSE
    better float share of pairs called BETTER
    undecided float share of pairs left undecided
    wrong float share of families with a false verdict: a difference at shift 0, EQUIVALENT at others
    ci_low float lower end of Wilson's 95 % interval of that share
    ci_high float its upper end
    seeds float mean seeds of the judged arm until it was decided, or all there were
    fixed_seeds float fewest fixed seeds, of 5, 10, ..., that find as often what there is to find
    saved float share of these that the design saves
""")

TABLES = {
    "scores": ARM
    | METRIC
    | RUN
    | columns("""
        endpoint str final, auc (both in the metric's unit), or time_to_threshold (environment steps)
        value float score of the seed; missing where the seed failed or never reached the threshold
    """),
    "live_checks": ARM
    | METRIC
    | RUN
    | columns("""
        endpoint str auc
        outcome str same rows, other rows (same kind of machine), inside, outside or not judged (another one)
        value float of the seed trained here, in the metric's unit
        low float lower end of the 99.9 % prediction interval of one more seed, from the suite's seeds
        high float its upper end
        seeds int seeds that the interval is from
        difference str the first row that differs from the shipped record; missing if none does
        shipped_on str processor that made the shipped record
        trained_on str processor that trained the seed again
    """),
    "summary": ARM
    | METRIC
    | columns("""
        endpoint str final or auc
        statistic str iqm, mean or median over the seeds
        estimate float the statistic, in the metric's unit
    """)
    | INTERVAL
    | columns("""
        seeds int seeds that have a score
        failed_seeds str? seeds that have none, by number
    """),
    "verdicts": PLACE
    | METRIC
    | columns("""
        endpoint str auc or final
        role str? primary, the endpoint that decides, or secondary
    """)
    | PAIR
    | columns("""
        verdict str EQUIVALENT, WORSE, BETTER, INCONCLUSIVE, its note in brackets, or NO VERDICT
        difference float mean of the implementation minus mean of the reference, in the metric's unit
        ci90_low float lower end of Welch's 90 % interval of the difference; missing where none is shown
        ci90_high float its upper end
        ci95_low float lower end of Welch's 95 % interval of the difference; missing where none is shown
        ci95_high float its upper end
        margin float largest difference that counts as equivalent, as a fraction of distance
        smallest_margin float smallest margin at which equivalence would hold, as a fraction of distance
        p_difference float p of Welch's test of no difference; exact if no arm has a spread
        p_holm float the same, adjusted after Holm over its family; missing where looks or nothing can decide
        family_size int? tests in the family, of rows of the same role; 0 where nothing can be decided
        p_equivalence float larger p of the two one-sided tests at the margin
        seeds_implementation int seeds of the implementation that have a score
        seeds_reference int seeds of the reference that have a score
        seeds_needed str seeds per arm that would decide at 80 % power, 5 or more; empty where decided
        reason str? why the verdict is inconclusive, or why there is none
        failed_seeds str? seeds without a score, by implementation
        distance float? |mean of the reference - mean of the floor|, in the metric's unit
        mean_implementation float? in the metric's unit
        mean_reference float? in the metric's unit
        mean_random float? mean of the floor: the random agent, another configuration, or a constant
    """),
    "looks": PLACE
    | METRIC
    | columns("""
        endpoint str the primary endpoint, auc or final
    """)
    | PAIR
    | columns("""
        look int number of the look, from 1
        seeds_implementation int seeds of the implementation at this look
        seeds_reference int seeds of the reference, the same at all looks
        information float 1 / (1 / seeds of ours + 1 / seeds of the reference), by that of the last look
        z_difference float normal deviate of the difference, above 0 where the judged arm's value is larger
        boundary_difference float a difference is shown where |z_difference| is as large; infinite: not asked
        z_equivalence float the smaller deviate of the two one-sided tests at the margin
        boundary_equivalence float equivalence is shown where z_equivalence is as large
        family_size int pairs that share the error of all looks
        verdict str? EQUIVALENT, WORSE or BETTER at the look that decided; empty at others
    """),
    "paper": PLACE
    | METRIC
    | columns("""
        source str source_id of the published row
        published float published value, in the metric's unit
        published_spread float its spread, of the kind in spread_kind
        ours float mean final value over the seeds
        ci_low float lower end of the 95 % interval of ours; missing where none is shown
        ci_high float its upper end
        verdict str REPLICATED, NOT REPLICATED, UNDECIDED or NOT COMPARABLE
        differs_in str what makes it not comparable
        implementation str? whose score ours is
        seeds int? seeds behind ours
        failed_seeds str? seeds that have no score, by number
        budget int? environment steps per seed, ours
        margin float? largest difference that counts as the same, in the metric's unit
        published_algorithm str? its name there
        published_environment str? Gymnasium id there
        published_budget float? environment steps there
        published_protocol str? how it was evaluated there
        published_seeds float? seeds there
        spread_kind str? sd, se, ci95, none or unstated
        citation str? document and address
        provenance str? primary: seen where made; transcribed: in copies of that; secondary: quoted
        published_metric str? mean episode return, max average return, ...: which value it is
        published_low float? lower end of its spread where that is an interval
        published_high float? upper end
        ours_same_protocol float? where it is a max average return: ours as one, over our evaluations
        published_preset str? Atari: the preset that emulates games as there, or how it differs from any
        published_frames float? Atari: emulator frames there; as printed where published_budget is missing
        difference float? ours minus the published value, in the metric's unit
        ci90_low float? lower end of its 90 % interval, the published number's own error included
        ci90_high float? upper end
        p_difference float? two-sided p of equal expectations; missing where theirs has no known error
        p_holm float? p_difference adjusted over the comparable rows
        seeds_needed str? seeds of ours that would decide at 80 % power if the expectations are the same
        reason str? why it is undecided, or what the verdict is about
    """),
    "human_normalised": ARM
    | columns("""
        statistic str iqm, mean or median: over the seeds of a game, or over games and seeds
        estimate float final return as (x - random) / (human - random): 0 is random, 1 is human
    """)
    | INTERVAL
    | columns("""
        games int games behind the estimate; over games, environment is ALE/*-v5@ and the preset
        seeds int seeds that have a score, of the game that has the fewest
        failed_seeds str seeds that have none, by number
        budget float environment steps per seed; missing where games differ
        random float return of the random agent that 0 stands for
        human float return of the human that 1 stands for
        citation str document and address of these two
    """),
    "dqn2013": columns("""
        implementation str published, or whose score it is
        algorithm str its name in the paper, or named configuration
        environment str Gymnasium id; of a published row, the game
        game str column of the paper's Table 1
        metric str which return it is
        value float return; ours is the mean final return over the seeds
    """)
    | INTERVAL
    | columns("""
        seeds float seeds that have a score
        failed_seeds str seeds that have none, by number
        budget float environment steps per seed, ours
        published_frames float frames there as printed; whether the emulator's or the agent's is not stated
        citation str document and address
    """),
    "profiles": ARM
    | METRIC
    | columns("""
        tau float final value
        fraction float share of the seeds whose final value exceeds tau, or is below it if lower is better
    """)
    | INTERVAL,
    "improvement": PLACE
    | METRIC
    | PAIR
    | columns("""
        endpoint str auc or final
        probability float chance that one of its seeds scores better than one of the reference's, ties half
    """)
    | INTERVAL,
    "thresholds": ARM
    | METRIC
    | columns("""
        threshold float value at which the environment counts as solved
        reached int seeds with an evaluation that is at least as good
        seeds int all seeds; those that did not reach it are censored at the budget
        median_env_step float median of the first such evaluation; missing where half or more are censored
        budget int? environment steps per seed, where the others are censored
        failed_seeds str? seeds that failed (censored there), by number
    """),
    "false_differences": DRAWS
    | METRIC
    | columns("""
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
    "power": DRAWS
    | METRIC
    | columns("""
        endpoint str auc or final
        margin float share of the distance from floor to reference
        seeds int seeds in each of the two disjoint draws
        draws int pairs of draws
        equivalent float share called EQUIVALENT where the true difference is zero
        planned float power of the same by the formula behind seeds_needed
        equivalent_at_margin float share called EQUIVALENT where one arm is a whole margin worse
        worse_at_margin float share of those called WORSE, by one verdict alone
        worse_at_twice float share called WORSE where it is two margins worse
        pool int seeds that were drawn from
    """),
    "coverage": columns("""
        pool str arm, or arm and the one it is compared with, whose seeds were drawn with replacement
        environment str Gymnasium id
    """)
    | METRIC
    | columns("""
        estimator str mean, median, iqm (of one arm), difference of means, or improvement, P(X > Y)
        endpoint str auc or final
        seeds int seeds in a draw
        seeds_other int seeds in the draw from the other arm; the same number where there is one arm
        method str how the interval was computed; percentile: shown before; shown: what reports show now
        draws_from str inside: draws without a seed at a bound of the metric; at a bound; or all
        nominal float share of intervals that should hold the pool's value
        coverage float share of those that there are which did
        ci_low float lower end of Wilson's 95 % interval of that share
        ci_high float its upper end
        draws int draws
        shown float share of draws that have an interval
        missed float share of draws that have an interval which does not hold the pool's value
        width float median width of the intervals, in the metric's unit or as a probability
        reach float width of the widest interval that can be
    """),
    "sequential": SEQUENTIAL,
    "adastop": SEQUENTIAL,
}
