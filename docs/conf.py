"""How Sphinx builds the site from these pages: `sphinx-build -W -n docs build/docs`."""

import ast
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import hashmatch

project = "hashmatch"
author = "The hashmatch maintainers"
copyright = "The hashmatch maintainers, Apache-2.0"
version = release = hashmatch.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["pending"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

# Docstrings are numpydoc; names in single backquotes are of the API, or else code.
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
nitpicky = True
# Types are described in words, and by names of other libraries, whose references are on other
# sites: this one builds without a network. What begins with hashmatch has to exist.
nitpick_ignore_regex = [(r"py:.*", r"(?!hashmatch\.).*")]

smartquotes = False  # two hyphens begin an option

html_theme = "furo"
pygments_style, pygments_dark_style = "friendly", "github-dark"
html_title = f"hashmatch {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False


def internal_name(app: Any, env: Any, node: Any, shown: Any) -> Any:
    """Show a name of ours that has no page as code, if it exists; else Sphinx warns."""
    if not node.get("reftarget", "").startswith("hashmatch."):
        return None
    try:
        resolve_name(node["reftarget"])
    except (ImportError, AttributeError):
        return None
    return shown


def list_modules(app: Any, config: Any) -> None:
    """Write modules.md: every module with the first sentence of its docstring, by package."""
    root = Path(hashmatch.__path__[0])
    lines = ["# Modules", "", "Every module, with the first line of its docstring."]
    for folder in sorted({path.parent for path in root.rglob("*.py")}):
        package = ".".join(folder.relative_to(root.parent).parts)
        lines += ["", f"## {package}", "", "| module | |", "|---|---|"]
        for path in sorted(folder.glob("*.py")):
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            first = text.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            lines.append(f"| `{path.stem}` | {first} |")
    Path(app.srcdir, "modules.md").write_text("\n".join(lines) + "\n")


def setup(app: Any) -> None:
    """Let docstrings name modules that are not public; list all modules on a page."""
    app.connect("config-inited", list_modules)
    app.connect("missing-reference", internal_name)
