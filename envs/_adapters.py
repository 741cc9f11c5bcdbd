"""Environments in the forms of libraries that need not be installed."""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from gymnasium.vector import AutoresetMode, VectorEnv

from ..rules import AbstractRule
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem
from ._gymnasium import make_role, options_of
from ._steering import Steering


def to_sb3(envs: VectorEnv) -> Any:
    """A vector environment for Stable-Baselines3, which takes none of Gymnasium's.

    One step remains one compiled program. The last `info` of an episode, with the score
    of the network, is in `infos[i]` beside `"terminal_observation"`; wrap the result in
    Stable-Baselines3's `VecMonitor` to see returns in its logs. Single environments need
    no adapter.

    Args:
        envs: an environment from `gymnasium.make_vec` in `AutoresetMode.SAME_STEP`.

    Returns:
        A `stable_baselines3.common.vec_env.VecEnv`. `seed(s)` seeds the next reset, as
        does `set_options({"task": n})`, or a list of such options, with tasks. What a
        vector environment holds once, such as `columns`, all environments have in
        `get_attr`.

    Raises:
        ValueError: if `envs` is no vector environment or resets in another mode.
        ModuleNotFoundError: if Stable-Baselines3 is not installed.

    !!! example

        ```python
        envs = gymnasium.make_vec("plasticgym/Xor-v0", num_envs=16, rule="sgd")
        PPO("MlpPolicy", plasticgym.envs.to_sb3(envs)).learn(10_000)
        ```
    """
    if not isinstance(envs, VectorEnv):
        raise ValueError(
            "`envs` must be a vector environment, as from `gymnasium.make_vec`, got "
            f"{envs!r}; Stable-Baselines3 takes single environments as they are."
        )
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            "`envs` must begin a new episode in the step that ends one; make it with "
            f"`autoreset_mode=AutoresetMode.SAME_STEP`, got {mode}."
        )
    return _adapter("_sb3", "Stable-Baselines3", "stable-baselines3").SB3VecEnv(envs)


def to_brax(
    problem: str | AbstractProblem, *, rule: str | AbstractRule | None = None, **options: Any
) -> Any:
    """A problem as an environment of brax, for its trainers.

    Give them `wrap_env_fn=env.wrap` and `episode_length=env.episode_length`: so every
    life that ends is followed by one in a new world, where brax's own wrapper would bring
    the first one back. What is seen is flat. The metrics `"score"` and `"diverged"` are 0
    until a life ends, so that their sums over an episode are those of the last `info`.

    Args:
        problem: a registered name, or a problem.
        rule: a rule, or text such as `"sgd"`, `"sgd(rate=0.5)"` or `"expr: ..."`; `None`
            if you are the rule.
        **options: as for [`LearningEnv`][plasticgym.envs.LearningEnv].

    Returns:
        A `brax.envs.Env`. `reset(key)` gives the life that `live` gives for this key.

    Raises:
        ValueError: if a name or option is unknown, or an option is out of its range.
        ModuleNotFoundError: if brax is not installed.

    !!! example

        ```python
        env = plasticgym.envs.to_brax("Xor-v0", rule="sgd", presentations_per_action=5)
        ars.train(env, wrap_env_fn=env.wrap, episode_length=env.episode_length)
        ```
    """
    role = make_role(problem, rule, options)
    return _adapter("_brax", "brax", "brax").BraxEnv(role)


def to_evosax(
    problem: str | AbstractProblem, *, rule: str | AbstractRule, lives: int = 1, **options: Any
) -> Any:
    r"""A problem of evosax: which genome of a rule makes networks learn best?

    The fitness of a genome, to be minimised, is

    $$\log(L + 0.01) - \log(L_\text{chance} + 0.01),$$

    with $L$ the last loss of the training stream: minus the return of the environment.
    It is a mean over lives; all genomes of a population live in the same worlds, drawn
    from the key of `eval`. Networks that diverge have the loss of chance. The metrics
    hold the mean `"score"` on the validation part and the share that `"diverged"`.

    Args:
        problem: a registered name, or a problem.
        rule: a rule, or text such as `"sgd"`, `"sgd(rate=0.5)"` or `"expr: ..."`.
        lives: of each genome in an evaluation.
        **options: those of the problem and of the rule. An environment's own, `reach` and
            `presentations_per_action`, are refused: a genome is given as it is, for life.

    Returns:
        An `evosax.problems.Problem`, whose solutions are vectors as
        [`genome`][plasticgym.rules.genome] gives them.

    Raises:
        ValueError: if a name or option is unknown, or an option is out of its range.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.to_evosax("Xor-v0", rule="sgd", lives=4)
        >>> key = jax.random.key(0)
        >>> genomes = jax.vmap(problem.sample)(jax.random.split(key, 8))
        >>> fitness, state, metrics = problem.eval(key, genomes, problem.init(key))
        >>> fitness.shape, sorted(metrics)
        ((8,), ['diverged', 'score'])

        ```
    """
    check_sizes(lives=lives)
    role = _steering(problem, rule, options)
    return _adapter("_evosax", "evosax", "evosax").GenomeProblem(
        role.steered, role.problem, lives
    )


def to_evosax_meta(
    problems: Sequence[str | AbstractProblem],
    *,
    rule: str | AbstractRule,
    lives: int = 1,
    **options: Any,
) -> Any:
    """As [`to_evosax`][plasticgym.envs.to_evosax], on a problem drawn from several.

    Args:
        problems: registered names, or problems.
        rule: a rule, or text such as `"sgd"`, `"sgd(rate=0.5)"` or `"expr: ..."`.
        lives: of each genome in an evaluation.
        **options: those of every problem and of the rule, as for `to_evosax`.

    Returns:
        An `evosax.problems.MetaProblem`; `sample_params` draws one of the problems.

    Raises:
        ValueError: if there is no problem, or as for `to_evosax`.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.to_evosax_meta(["Xor-v0", "Moons-v0"], rule="sgd")
        >>> key = jax.random.key(0)
        >>> params, genomes = problem.sample_params(key), problem.sample(key)[None]
        >>> fitness, *_ = problem.eval(key, genomes, problem.init(key, params), params)
        >>> fitness.shape
        (1,)

        ```
    """
    check_sizes(lives=lives)
    if isinstance(problems, str | AbstractProblem) or not len(problems):
        raise ValueError(
            f"`problems` must be a list of at least one problem, got {problems!r}."
        )
    roles = [_steering(problem, rule, options) for problem in problems]
    return _adapter("_evosax", "evosax", "evosax").MetaGenomeProblem(
        roles[0].steered, tuple(role.problem for role in roles), lives
    )


def _steering(problem: Any, rule: Any, options: dict[str, Any]) -> Steering:
    if rule is None:
        raise ValueError("`rule` must be a registered name or a rule, got None.")
    for name in options:
        if name in options_of(Steering):
            raise ValueError(
                f"`{name}` is an option of environments; leave it out, as a genome is given "
                f"to evosax as it is and for a whole life, got {options[name]!r}."
            )
    role = make_role(problem, rule, options)
    assert isinstance(role, Steering)
    return role


def _adapter(module: str, tool: str, package: str) -> ModuleType:
    """A module of this package that imports a tool.

    Raises:
        ModuleNotFoundError: telling what is missing, the tool or what it needs itself,
            and how to install it.
    """
    try:
        return importlib.import_module(f".{module}", __package__)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this adapter needs {tool}, and there is no module `{error.name}`; install it "
            f"with `pip install {package}`.",
            name=error.name,
        ) from error
