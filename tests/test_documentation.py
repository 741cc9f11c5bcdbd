"""Every exported name is documented, and the examples in its documentation run."""

import doctest
import inspect

import jax
import pytest

import plasticgym as pg

PACKAGES = [pg.rules, pg.envs, pg.agents, pg.benchmarks]
MODULES = {"plasticgym.rules.multilayer": pg.rules.multilayer}


def exported() -> dict[str, object]:
    """What a user finds in the four packages: classes and functions, by their full name.

    And the functions that a public module of theirs defines or takes in from its neighbours.
    """
    found = {}
    for name, module in MODULES.items():
        for function, value in inspect.getmembers(module, inspect.isfunction):
            if not function.startswith("_"):
                found[f"{name}.{function}"] = value
    for package in PACKAGES:
        for name, value in vars(package).items():
            ours = getattr(value, "__module__", "").startswith("plasticgym.")
            if ours and callable(value) and not name.startswith("_"):
                found[f"{package.__name__}.{name}"] = value
    return found


EXPORTED = exported()
FINDER = doctest.DocTestFinder(recurse=True, exclude_empty=True)


def documented_by_itself(value) -> bool:
    """Whether it has a docstring of its own; dataclasses are given one that tells nothing."""
    told = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    name = getattr(value, "__name__", "")
    return bool(told and told.strip()) and not told.startswith(f"{name}(")


def methods(value) -> dict[str, object]:
    """The public methods that a class defines and that override no documented one."""
    found = {}
    for name, member in vars(value).items() if inspect.isclass(value) else ():
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        if not any(hasattr(base, name) for base in value.__mro__[1:]):
            found[name] = function
    return found


def test_the_packages_are_found():
    assert len(EXPORTED) > 30
    assert "plasticgym.rules.SGD" in EXPORTED
    assert "plasticgym.envs.live" in EXPORTED
    assert "plasticgym.rules.multilayer.newborn" in EXPORTED


@pytest.mark.parametrize("name", EXPORTED)
def test_every_exported_name_has_a_docstring(name):
    value = EXPORTED[name]
    if getattr(value, "__self__", None) is not None:  # a registry's bound method
        value = value.__func__
    assert documented_by_itself(value), name
    for method, function in methods(value).items():
        # `change` is optional, so no method but the docstring of `AbstractRule` has it.
        documented = function.__doc__ or method in ("shape", "change")
        assert documented, f"{name}.{method}"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)
def test_every_package_says_what_it_holds(package):
    assert package.__doc__


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n, v in EXPORTED.items() if ">>>" in (inspect.getdoc(v) or "")]
)
def test_examples_run(name):
    """As for a user: annotations and strictness of arrays are those of a fresh session."""
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for test in FINDER.find(EXPORTED[name], name, globs={}):
            report: list[str] = []
            runner.run(test, out=report.append)
            assert runner.failures == 0, "".join(report)
    assert runner.tries > 0


def test_the_package_itself_is_documented():
    assert pg.__doc__
