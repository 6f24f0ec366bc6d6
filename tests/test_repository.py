"""Claims about the repository as a whole."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from mrspipe.config import StudyConfig
from mrspipe.synth.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "mrspipe").rglob("*.py"))


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """A settings model and all that its fields hold."""
    if model in seen:
        return
    seen.add(model)
    yield model
    for info in model.model_fields.values():
        waiting = [info.annotation]
        while waiting:
            kind = waiting.pop()
            waiting += list(getattr(kind, "__args__", ()))
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from models(kind, seen)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("lint-imports",),
    ],
    ids=" ".join,
)
def test_the_code_passes(command):
    program = Path(sys.executable).with_name(command[0])
    if not program.exists():
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_is_longer_than_500_lines():
    assert [path.name for path in MODULES if len(path.read_text().splitlines()) > 500] == []


@pytest.mark.parametrize("root", [StudyConfig, Recipe], ids=["configuration", "recipe"])
def test_every_setting_says_what_it_is(root):
    nameless = {"step", "kind", "group", "session", "task", "treatment", "first", "second", "r"}
    missing = [
        f"{model.__name__}.{name}"
        for model in models(root, set())
        for name, info in model.model_fields.items()
        if not info.description and name not in nameless
    ]
    assert missing == []


@pytest.mark.parametrize("path", sorted((ROOT / "synthetic_data").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_loads(path):
    assert load_recipe(path).groups


@pytest.mark.parametrize("path", sorted((ROOT / "mrspipe" / "physics").glob("*.toml")), ids=lambda path: path.stem)
def test_every_table_of_physical_constants_names_its_sources(path):
    assert "source" in path.read_text()
    assert tomllib.loads(path.read_text())


def test_the_test_command_of_the_readme_is_the_one_that_continuous_integration_runs():
    line = 'pip install -e ".[test]"'
    assert line in (ROOT / "README.md").read_text()
    assert 'pip install -e ".\\[test\\]"' in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (("tests/benchmarks/fit_speed.py", "--n", "1"), 4),
        (("tests/benchmarks/preprocessing_snr.py", "--n", "2"), 2),
        (("tests/benchmarks/engine.py", "plan", "--n", "4"), 1),
        (("docs/fit_noise.py", "small", "--n", "2"), 5),
        (("docs/fit_recovery.py", "--n", "2", "--snr", "40", "--pairs", "2"), 10),
    ],
)
def test_a_script_whose_figures_the_documentation_gives_runs(command, rows):
    told = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(told.splitlines()) >= rows
