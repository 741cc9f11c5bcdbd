from pathlib import Path

from ..agents import read_run
from ..rules import RULES, AbstractRule, load_genome, shipped, spelled


def entry(text: str) -> AbstractRule:
    """The rule that a name on the command line stands for.

    Args:
        text: a registered name (`"sgd"`: with the genome that comes with the package),
            a name with options (`"sgd(rate=0.1)"`: exactly so), the folder of a run, or a
            genome file.

    Raises:
        ValueError: if it is none of these; for a name, with the near ones.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> float(benchmarks.entry("sgd(rate=0.5)").rate)
        0.5

        ```
    """
    path = Path(text)
    if path.is_dir():
        run = read_run(path)
        return load_genome(path / "genome.safetensors", expected=run.rule)
    if path.suffix == ".safetensors" or path.is_file():
        return load_genome(path)
    if "/" in text.split("(")[0]:
        raise ValueError(f"there is no folder or file {text}.")
    name, options, literal = spelled(text)
    return RULES.make(name, **options) if literal else shipped(name)
