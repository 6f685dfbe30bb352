"""Asks the oracle and SciPy or statsmodels the same questions, and compares the answers.

usage: statistics.py ORACLE [--seed N] [--perturb]

One line for each function: `N passed, M failed`. Ends with 1 if anything failed. With --perturb one answer of each function is
changed by 100 times its tolerance, and it ends with 1 if any function fails to notice.
"""

import argparse
import itertools
import json
import math
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import stats
from scipy.stats._resampling import BootstrapResult
from statsmodels.formula.api import ols
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

EXACT = 1e-9
REPLICATES = 200


class Cases:
    """Questions with the answers that the other side gives to them."""

    def __init__(self):
        self.names, self.questions, self.wanted, self.tolerances = [], [], [], []

    def add(self, name, question, wanted, relative=EXACT, absolute=0.0):
        self.names.append(name)
        self.questions.append(question)
        self.wanted.append([None if value is None else float(value) for value in wanted])
        self.tolerances.append((relative, absolute))


def differences(random, count):
    """Paired differences as they occur: of any scale, or whole images of a test set of 1,024, with many ties."""
    if random.random() < 0.5:
        return random.normal(random.normal(), 1.0, count) * 10.0 ** random.integers(-4, 2)
    return random.integers(-6, 10, count) / 1024.0


def varied(random, count):
    while True:
        values = differences(random, count)
        if np.ptp(values) > 0:
            return values


def means_and_intervals(random, cases):
    for _ in range(REPLICATES):
        values = varied(random, int(random.integers(2, 40)))
        deviation = values.std(ddof=1)
        scale = np.abs(values).max()
        question = {"values": values.tolist()}
        cases.add("estimate", {"function": "estimate", **question}, [values.mean(), deviation], absolute=1e-15 * scale)
        interval = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
        cases.add("t_interval", {"function": "t_interval", **question}, interval, absolute=1e-13 * scale)
        # The t statistic of SciPy's paired test is d_z times the root of n.
        other = random.normal(size=len(values))
        paired = stats.ttest_rel(values + other, other).statistic / math.sqrt(len(values))
        cases.add("effect_size", {"function": "effect_size", **question}, [paired], absolute=1e-10)


def sign_flips(random, cases):
    for index in range(REPLICATES):
        values = differences(random, 2 + index % 13)
        test = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True)
        cases.add("sign_flip, exact", {"function": "sign_flip", "values": values.tolist()}, [test.pvalue])
    # Too many assignments for SciPy: whole images, whose sums a table counts without rounding, ...
    for count in range(15, 41):
        images = random.integers(-6, 10, count)
        question = {"function": "sign_flip", "values": (images / 1024.0).tolist()}
        cases.add("sign_flip, whole images", question, [share_of_whole_sums(images.tolist())])
    # ... and every assignment of 24 pairs, one by one.
    for _ in range(3):
        values = random.normal(0.3, 1.0, 24)
        cases.add("sign_flip, 24 pairs", {"function": "sign_flip", "values": values.tolist()}, [share_of_all(values)])
    for _ in range(10):
        values = random.normal(0.3, 1.0, int(random.integers(41, 60)))
        draws = 99_999
        test = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=draws, vectorized=True, batch=10_000, rng=random
        )
        # Both sides are drawn: six standard errors of their difference.
        error = 6.0 * math.sqrt(2.0 * max(test.pvalue * (1.0 - test.pvalue), 1.0 / draws) / draws)
        question = {"function": "sign_flip", "values": values.tolist()}
        cases.add("sign_flip, Monte Carlo", question, [test.pvalue], relative=0.0, absolute=error)


def share_of_whole_sums(values):
    """How many of all assignments of signs reach the sum that was seen, as a share: whole numbers, counted without rounding."""
    counts = {0: 1}
    for value in values:
        after = {}
        for total, count in counts.items():
            for then in (total - value, total + value):
                after[then] = after.get(then, 0) + count
        counts = after
    seen = abs(sum(values))
    return sum(count for total, count in counts.items() if abs(total) >= seen) / 2 ** len(values)


def share_of_all(values):
    """The same for any values, by writing down every sum. The first sign stays: all signs turned give the same magnitude."""
    sums = values[:1].copy()
    for value in values[1:]:
        sums = np.concatenate((sums - value, sums + value))
    bound = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    return np.count_nonzero(np.abs(sums) >= bound) / len(sums)


def corrections(random, cases):
    for index in range(REPLICATES):
        count = int(random.integers(1, 40))
        family = random.random(count) ** random.integers(1, 6)
        if index % 3 == 0:
            family = np.round(family * 64) / 64
        absent = random.random(count) < 0.2 * (index % 2)
        # Absent members count as if they had p = 1, and stay absent.
        filled = np.where(absent, 1.0, family)
        for function, method in (("holm", "holm"), ("benjamini_hochberg", "fdr_bh")):
            adjusted = multipletests(filled, method=method)[1]
            question = {"function": function, "family": [None if gone else p for p, gone in zip(family.tolist(), absent)]}
            cases.add(function, question, [None if gone else p for p, gone in zip(adjusted, absent)])


def image_tests(random, cases):
    for index in range(REPLICATES):
        most = (8, 60, 400, 5_000)[index % 4]
        gained, lost = int(random.integers(0, most)), int(random.integers(0, most))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = mcnemar([[100, gained], [lost, 50]], exact=True).pvalue
        # Far out SciPy itself counts in logarithms of factorials; beyond 1e-290 there is nothing to compare.
        cases.add("mcnemar", {"function": "mcnemar", "gained": gained, "lost": lost}, [wanted], absolute=1e-290)


def bootstraps(random, cases):
    for _ in range(REPLICATES // 2):
        count = int(random.integers(3, 30))
        # Multiples of a power of two: sums are exact, so both sides see the same ties with the mean.
        values = np.round(random.exponential(1.0, count) * 2**12) / 2**12 * random.choice([-1, 1])
        drawn = stats.bootstrap((values,), np.mean, n_resamples=999, method="percentile", rng=random)
        # SciPy's own formula on these resamples, without new ones.
        given = BootstrapResult(drawn.confidence_interval, drawn.bootstrap_distribution, drawn.standard_error)
        wanted = stats.bootstrap((values,), np.mean, n_resamples=0, bootstrap_result=given, method="BCa").confidence_interval
        question = {"function": "bca", "values": values.tolist(), "resampled": drawn.bootstrap_distribution.tolist()}
        cases.add("bca", question, [wanted.low, wanted.high], absolute=1e-12)


def design(random, balanced):
    """Levels of each configuration; an unbalanced design misses some, but none that the model needs."""
    while True:
        levels = [int(random.integers(2, 4)) for _ in range(int(random.integers(2, 5)))]
        cells = list(itertools.product(*(range(count) for count in levels)))
        if not balanced:
            gone = random.random(len(cells)) < 0.2
            cells = [cell for cell, away in zip(cells, gone) if not away]
            if not gone.any() or len(cells) < 4:
                continue
        frame = pd.DataFrame(cells, columns=[f"f{index}" for index in range(len(levels))])
        if any(frame[name].nunique() != count for name, count in zip(frame, levels)):
            continue
        matrix = ols(formula(len(levels)), frame.assign(y=0.0)).exog
        if np.linalg.matrix_rank(matrix) == matrix.shape[1] and len(cells) > matrix.shape[1]:
            return levels, cells


def terms(factors):
    return [(index,) for index in range(factors)] + list(itertools.combinations(range(factors), 2))


def formula(factors):
    return "y ~ " + " + ".join(":".join(f"C(f{index}, Sum)" for index in term) for term in terms(factors))


def factorials(random, cases):
    for index in range(REPLICATES // 4):
        balanced = index % 2 == 0
        levels, cells = design(random, balanced)
        seeds = int(random.integers(2, 6))
        values = random.normal(size=(len(cells), seeds)) + random.normal(size=(len(cells), 1))
        rows = [(*cell, value) for cell, of in zip(cells, values) for value in of]
        names = [f"f{factor}" for factor in range(len(levels))]
        frame = pd.DataFrame(rows, columns=[*names, "y"])
        table = sm.stats.anova_lm(ols(formula(len(levels)), frame).fit(), typ=1)
        means = values.mean(axis=1)
        between = seeds * ((means - means.mean()) ** 2).sum()
        fits = [ols(formula(len(levels)), frame.iloc[seed::seeds]).fit() for seed in range(seeds)]
        wanted = []
        for term in terms(len(levels)):
            row = table.loc[":".join(f"C(f{factor}, Sum)" for factor in term)]
            wanted += [row["sum_sq"], row["df"], row["sum_sq"] / between]
            if any(levels[factor] != 2 for factor in term):
                wanted += [None, None, None]
                continue
            # Sum coding has the first level at 1, we have the second: the sign of a main effect turns.
            name = ":".join(f"C(f{factor}, Sum)[S.0]" for factor in term)
            sizes = np.array([2.0 * (-1.0) ** len(term) * fit.params[name] for fit in fits])
            interval = stats.t.interval(0.95, seeds - 1, loc=sizes.mean(), scale=stats.sem(sizes))
            wanted += [sizes.mean(), *interval]
        question = {"function": "factorial", "levels": [list(cell) for cell in cells], "values": values.tolist()}
        kind = "balanced" if balanced else "unbalanced"
        cases.add(f"factorial, {kind}", question, wanted, absolute=1e-10)


def ask(oracle, questions):
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([oracle], input=lines, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the oracle ended with {done.returncode}: {done.stderr}")
    answers = [json.loads(line)["answer"] for line in done.stdout.splitlines()]
    if len(answers) != len(questions):
        sys.exit(f"{len(answers)} answers to {len(questions)} questions")
    return answers


def agree(ours, theirs, relative, absolute):
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return abs(ours - theirs) <= relative * abs(theirs) + absolute


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("oracle")
    parser.add_argument("--seed", type=int, default=20_240_229)
    parser.add_argument("--perturb", action="store_true")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    cases = Cases()
    for make in (means_and_intervals, sign_flips, corrections, image_tests, bootstraps, factorials):
        make(random, cases)
    answers = ask(options.oracle, cases.questions)

    print(f"against SciPy {scipy.__version__} and statsmodels {statsmodels.__version__}, seed {options.seed}"
          + (", one answer of each function changed" if options.perturb else ""))
    passed, failed, changed = {}, {}, set()
    for name, question, ours, theirs, tolerance in zip(
        cases.names, cases.questions, answers, cases.wanted, cases.tolerances
    ):
        if options.perturb and name not in changed and ours and ours[0] is not None:
            relative, absolute = tolerance
            ours = [ours[0] + 100.0 * (relative * abs(theirs[0]) + absolute), *ours[1:]]
            changed.add(name)
        right = len(ours) == len(theirs) and all(agree(*pair, *tolerance) for pair in zip(ours, theirs))
        tally = passed if right else failed
        tally[name] = tally.get(name, 0) + 1
        if not right and not options.perturb:
            print(f"  {name}: {json.dumps(question)[:300]}\n    ours   {ours}\n    theirs {theirs}")
    names = list(dict.fromkeys(cases.names))
    for name in names:
        print(f"{name}: {passed.get(name, 0)} passed, {failed.get(name, 0)} failed")
    print(f"{sum(passed.values())} passed, {sum(failed.values())} failed")
    if options.perturb:
        unnoticed = [name for name in names if failed.get(name, 0) != 1]
        print("every change was noticed" if not unnoticed else f"not noticed: {', '.join(unnoticed)}")
        return 1 if unnoticed else 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
