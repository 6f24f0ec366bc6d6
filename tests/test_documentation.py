"""Claims about documentation, container and workflows: what they name is there, and what they show works."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mrspipe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROGRAMS = Path(sys.executable).parent


def _environment():
    # The tutorial's commands, as a reader types them: this Python's programs, this checkout's package.
    path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}


def blocks_to_run(page):
    """Bash blocks of a page that stand behind the mark."""
    return re.findall(r"<!-- run -->\n```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", ["configuration.md", "recipe.md"])
def test_the_reference_of_settings_is_that_of_the_settings(name):
    made = runpy.run_path(str(DOCS / "reference.py"))
    assert (DOCS / name).read_text(encoding="utf-8") == made["page"](*made["PAGES"][name]), "python docs/reference.py"


def test_the_reference_names_every_setting_with_its_default_and_description():
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for row in (
        "| `unusable_below_snr` | number, above 0 | `8` |",
        '| `mm` | `auto`, `parametrised`, `study`, `basis` | `"auto"` |',
        "| `n_procs` | whole number, at least 0 | `0` |",
        "## `[fit.priors.t2_contrast]`",
        "## `[[contrast]]`",
        '## `[[preprocess.steps]], step = "align"`',
    ):
        assert row in page


def test_the_site_builds_without_a_warning(tmp_path):
    program = shutil.which("mkdocs", path=_environment()["PATH"])
    if program is None:
        pytest.skip("mkdocs is not installed (extra docs)")
    command = [program, "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    methods = pages[tmp_path / "methods" / "index.html"]
    # Formulas are drawn by the browser: none is left as text, none needs a script.
    assert methods.count("<math") > 50
    assert "\\frac" not in methods
    assert "fit.injection" in pages[tmp_path / "architecture" / "index.html"]
    assert "read_study" in pages[tmp_path / "python" / "index.html"]
    loaded = re.compile(r'<(?:script|link)[^>]+(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?))"')
    assert [found for text in pages.values() for found in loaded.findall(text)] == []


TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
TEXTS += sorted([*(ROOT / "seeds").glob("*.md"), *(ROOT / "synthetic_data").glob("*.md")])
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def headings(page):
    """Names that links may use for the headings of a page, as GitHub makes them."""
    lines = _FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    titles = [line.lstrip("#").strip().lower() for line in lines if re.match(r"#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_within_the_repository_leads_somewhere(page):
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    lost = []
    for link in links:
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (heading and heading not in headings(target)):
            lost.append(link)
    assert lost == []


def test_a_comment_in_a_block_of_code_is_no_heading(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One page\n\n```bash\n# a comment\n```\n\n## p, interval: `stats.alpha`\n", encoding="utf-8")
    assert headings(page) == {"one-page", "p-interval-statsalpha"}


def test_every_page_of_the_documentation_has_its_place_in_the_site():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert {page.name for page in DOCS.glob("*.md")} == set(re.findall(r": ([\w-]+\.md)$", nav, re.MULTILINE))


def test_every_command_is_in_the_table_of_the_readme():
    from mrspipe.cli.main import _ORDER

    table = re.findall(r"^\| (`mrspipe.*?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for cell in table for name in re.findall(r"`mrspipe (\w+)`", cell)} == set(_ORDER)


def test_pictures_of_the_pages_are_there_and_small():
    for page in DOCS.rglob("*.md"):
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / name).stat().st_size < 200_000, f"{page.name}: {name}"


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run_and_give_what_it_shows(tmp_path):
    page = DOCS / "tutorial.md"
    commands = blocks_to_run(page)
    assert len(commands) >= 6
    # Without pipefail, as in a reader's shell: `head` may close a pipe that `cut` still writes to.
    script = "set -eu\n" + "\n".join(commands)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    shown = re.search(r"ends with\n\n```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for line in shown[1].splitlines():
        assert " ".join(line.split()) in said
    injected = (tmp_path / "injected" / "group" / "quality.tsv").read_text(encoding="utf-8")
    assert "injection_slope" in injected.splitlines()[0]


def _instructions(name):
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [line.partition(" ")[2].strip() for line in lines if line.startswith(f"{name} ")]


def test_what_the_container_copies_is_there_and_not_ignored():
    ignored = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    copied = [part for line in _instructions("COPY") if "--from" not in line for part in line.split()[:-1]]
    assert {"mrspipe", "configs", "synthetic_data", "pyproject.toml", "README.md", "LICENSE"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists()
        assert name not in ignored
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {settings["project"]["readme"], *settings["project"]["license-files"]}
    needed |= set(settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"])
    assert needed <= set(copied)


def test_the_entry_point_of_the_container_is_a_command_of_the_program():
    (entry,) = _instructions("ENTRYPOINT")
    program, command = json.loads(entry)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert program in settings["project"]["scripts"]
    done = subprocess.run(
        [sys.executable, "-m", "mrspipe", command, "--help"],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    # The arguments of a BIDS App: dataset, output, level.
    assert re.search(r"\{?bids_dir\}?\s+\{?out_dir\}?\s+\[?level", done.stdout, re.IGNORECASE)


def test_the_container_runs_as_a_user_and_its_versions_are_arguments():
    assert _instructions("USER") == ["mrspipe"]
    assert all("${" in line for line in _instructions("FROM"))
    assert {line.partition("=")[0] for line in _instructions("ARG")} >= {"PYTHON", "HATCHLING", "BUILD"}


def test_the_version_is_the_same_wherever_it_stands():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert settings["project"]["version"] == mrspipe.__version__
    assert f"\nversion: {mrspipe.__version__}\n" in citation


def test_workflows_test_every_python_that_is_supported_and_install_what_is_there():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lowest = settings["project"]["requires-python"].removeprefix(">=")
    assert f'python: ["{lowest}", ' in workflow
    for extra in re.findall(r'pip install -e "\.\[(\w+)\]"', workflow):
        assert extra in settings["project"]["optional-dependencies"]


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_a_workflow_is_readable_and_gives_no_rights_by_default(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with mkdocs (extra docs)")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert set(job["permissions"].values()) <= {"read", "write"}
        assert set(job["permissions"]) <= {"contents", "id-token"}
        assert job["steps"]
