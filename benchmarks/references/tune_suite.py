"""Makes the frozen references of a suite: python benchmarks/references/tune_suite.py SUITE

In each setting, SGD, momentum and Adam live at 14 rates, half a decade apart and extended
until the best is interior, and at six more around it. The best has the highest mean last
score on the *validation* part after lives from 32 seeds; another is best by the area under
the scores of the stream. With each the rule lives again, from 100 other seeds, and is
scored on the *test* part. All of it is written to SUITE.json beside this script, after
each setting; the package reads what counts as a normalised score of 1, and the rates of
`sgd*`, from there.

What an earlier file, of this or another suite, says of the same problem by the same
versions is taken from it. Delete the file to measure afresh.
"""

import argparse
import json
from pathlib import Path

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._rates import RATES, TUNED, around, best, search, validation_scores
from plasticgym.benchmarks._reference import REFERENCE_FORMAT, read_reference, same
from plasticgym.rules._atomic import write_atomically

TUNING_SEEDS = tuple(range(32))
TEST_SEEDS = tuple(range(5000, 5100))
FOLDER = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite")
    name = parser.parse_args().suite
    pg.benchmarks.use_cache()
    tune(pg.benchmarks.suite(name), FOLDER)


def tune(
    suite,
    folder,
    *,
    rules=TUNED,
    rates=RATES,
    tuning_seeds=TUNING_SEEDS,
    test_seeds=TEST_SEEDS,
):
    """Tunes rules in all settings of a suite and writes what was found into a folder."""
    here = machine()
    told = {
        "format": REFERENCE_FORMAT,
        "suite": suite.id,
        "command": f"python benchmarks/references/tune_suite.py {suite.id}",
        **here._asdict(),
        "tuning_seeds": list(tuning_seeds),
        "test_seeds": list(test_seeds),
        "rates": [float(rate) for rate in rates],
    }
    settings = known(folder, told, suite, rules)
    for name, setting in suite.settings.items():
        for rule in rules:
            records = settings[name]["rules"]
            if rule not in records:
                fresh = measured(rule, setting, rates, tuning_seeds, test_seeds)
                for other in suite.settings:  # they may be the same problem by another name
                    if same(suite.settings[other], settings[name]):
                        settings[other]["rules"].setdefault(rule, {"date": here.date, **fresh})
                write(folder / f"{suite.id}.json", {**told, "settings": settings})
            print(f"{name:20} {line(rule, records[rule])}", flush=True)
    write(folder / f"{suite.id}.json", {**told, "settings": settings})
    return settings


def known(folder, told, suite, rules):
    """All settings of a suite, with what files made in the same way say of them."""
    alike = ("format", "versions", "tuning_seeds", "test_seeds", "rates")
    files = [read_reference(path) for path in sorted(folder.glob("*.json"))]
    agreeing = [file for file in files if all(file[field] == told[field] for field in alike)]
    records = [record for file in agreeing for record in file["settings"].values()]
    settings = {}
    for name, setting in suite.settings.items():
        found = [record["rules"] for record in records if same(setting, record)]
        by_rule = {rule: of[rule] for of in found for rule in rules if rule in of}
        settings[name] = {
            "problem": setting.problem,
            "options": setting.complete,
            "rules": by_rule,
        }
    return settings


def measured(name, setting, rates, tuning_seeds, test_seeds):
    """The best rates of a rule on the validation part, and its scores on the test part."""
    rule, problem = pg.rules.make(name), setting.build()
    tried = {}

    def scores_at(score, rates):
        fresh = [rate for rate in rates if rate not in tried]
        found = validation_scores(rule, fresh, problem, seeds=tuning_seeds)
        tried.update(zip(fresh, found, strict=True))
        return [tried[rate][score] for rate in rates]

    scores = ("last", "stream_area")
    for score in scores:
        _, coarse = search(lambda rates, score=score: scores_at(score, rates), rates)
        scores_at(score, around(coarse))
    # A rule wins a race to the end and one on the way with different rates.
    rate, rate_stream = (
        float(f"{best({r: found[score] for r, found in tried.items()}):.6g}")
        for score in scores
    )
    result = tested(name, setting, rate, test_seeds)
    return {
        "rate": rate,
        "rate_stream": rate_stream,
        "validation": {
            f"{rate:.6g}": [rounded(tried[rate][s]) for s in ("last", "stream_area")]
            for rate in sorted(tried)
        },
        "last": spread(result.last),
        "stream_area": spread(result.stream_area),
        "stream_area_at_rate_stream": spread(
            tested(name, setting, rate_stream, test_seeds).stream_area
        ),
        "failures": rounded(result.failures),
    }


def tested(name, setting, rate, seeds):
    """How the rule fares on the test part with that rate."""
    alone = pg.benchmarks.Suite("alone-v0", seen={name: setting}, unseen={}, seeds=seeds)
    report = pg.benchmarks.evaluate(
        {name: pg.rules.make(name, rate=rate)}, alone, reference=pg.benchmarks.perfect(alone)
    )
    return report.results[name][name]


def write(path, told):
    text = json.dumps(told, indent=1, allow_nan=False) + "\n"
    write_atomically(path, text.encode())


def spread(values):
    return {"mean": rounded(values.mean()), "sd": rounded(values.std(ddof=1))}


def rounded(value):
    return float(f"{float(value):.6g}")


def line(rule, record):
    last, area = record["last"], record["stream_area"]
    return (
        f"{rule:9} rate {record['rate']:<9.3g} last {last['mean']:.4f} (sd {last['sd']:.4f}) "
        f"stream {area['mean']:.4f} (sd {area['sd']:.4f}) failed {record['failures']:.0%}"
    )


if __name__ == "__main__":
    main()
