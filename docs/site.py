"""What mkdocs makes of the pages while it builds the site.

Formulas become MathML, which browsers draw without any script. The pages on architecture and Python get what stands in
the code: layers, first sentences of modules, and signatures with their docstrings.
"""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

_ROOT = Path(__file__).parents[1]
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the marks of a page and turn its formulas into MathML."""
    for mark, text in (("layers", layers), ("modules", modules), ("api", api)):
        if f"<!-- {mark} -->" in markdown:
            markdown = markdown.replace(f"<!-- {mark} -->", text())
    return with_formulas(markdown)


def with_formulas(markdown: str) -> str:
    """Turn ``$...$`` and blocks of ``math`` into MathML; other code stays as it is."""
    parts = _CODE.split(markdown)
    return "".join(_block(part) if part.startswith(("```", "`")) else _inline(part) for part in parts)


def _block(code: str) -> str:
    if not code.startswith("```math\n"):
        return code
    return f'<div class="formula">{_mathml(code[8:-3], "block")}</div>'


def _inline(text: str) -> str:
    # Markdown would take a formula at the start of a line for a block of its own; not so a span.
    return re.sub(r"\$([^$]+)\$", lambda found: f"<span>{_mathml(found[1], 'inline')}</span>", text)


def _mathml(tex: str, display: str) -> str:
    # The converter does not know \big and \Big, which only choose sizes, nor dfrac's display style.
    plain = re.sub(r"\\(big|Big|bigg|Bigg|displaystyle)(?![a-zA-Z])", "", " ".join(tex.split()))
    # Markdown must not see emphasis in what is finished.
    return convert(plain, display=display).replace("*", "&#42;").replace("_", "&#95;")


def layers() -> str:
    """Table of the layers of the package."""
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    names = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = []
    for line in names:
        packages = [name.strip(" ()") for name in line.split("|")]
        said = [f"`{name}`: {first_sentence(name).rstrip('.')}" for name in packages if _source(name).exists()]
        rows.append("| " + "<br>".join(said) + " |")
    return "\n".join(["| what stands on one line, from high to low |", "|---|", *rows])


def modules() -> str:
    """List of modules by package, each with its first sentence."""
    lines = []
    for path in sorted((_ROOT / "mrspipe").rglob("*.py")):
        name = ".".join(path.relative_to(_ROOT / "mrspipe").with_suffix("").parts)
        if path.stem.startswith("__"):
            continue
        lines.append(f"| `{name}` | {_first(path)} |")
    return "\n".join(["| module | what it does |", "|---|---|", *lines])


def api() -> str:
    """Signatures and docstrings of what notebooks may use: functions first, then what they give."""
    tree = ast.parse((_ROOT / "mrspipe" / "api.py").read_text(encoding="utf-8"))
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"]
    parts = [_function(node, f"## {node.name}") for node in public if isinstance(node, ast.FunctionDef)]
    for node in public:
        if isinstance(node, ast.ClassDef):
            parts += [f"## {node.name}", as_markdown(ast.get_docstring(node) or "")]
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name[0] != "_"]
            parts += [_function(one, f"### {node.name}.{one.name}") for one in methods]
    return "\n\n".join(parts)


def _function(node: ast.FunctionDef, heading: str) -> str:
    returns = f" -> {ast.unparse(node.returns)}".replace("'", "") if node.returns else ""
    about = as_markdown(ast.get_docstring(node) or "")
    if any(isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list):
        return f"{heading}\n\n```python\n{node.name}{returns.replace(' ->', ':', 1)}\n```\n\n{about}"
    given = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    return f"{heading}\n\n```python\n{node.name}({given}){returns}\n```\n\n{about}"


def as_markdown(docstring: str) -> str:
    """Turn numpydoc sections into lists: an entry for each parameter, what is returned, what is raised."""
    text, *sections = re.split(r"^(\w+)\n-+\n", docstring, flags=re.MULTILINE)
    parts = [text.strip().replace("``", "`")]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        parts.append(f"**{title}**\n\n" + "\n".join(_entry(one) for one in re.split(r"\n(?=\S)", body.strip())))
    return "\n\n".join(parts)


def _entry(text: str) -> str:
    name, *about = text.split("\n")
    said = " ".join(" ".join(about).split()).replace("``", "`")
    names, _, kind = name.partition(" : ")
    return f"- `{names}`" + (f" ({kind})" if kind else "") + (f": {said}" if said else "")


def first_sentence(name: str) -> str:
    """First sentence of a package's or module's docstring."""
    return _first(_source(name))


def _source(name: str) -> Path:
    folder = _ROOT / "mrspipe" / name
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _first(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("``", "`")
