"""Settings of Sphinx: the guides, which are Markdown, and a reference of every module.

The docstrings of posediff are plain text, not reStructuredText: paragraphs stay, what is indented
or set in columns is shown as it is, `names` are code, and no letter has a meaning of its own.
"""

import importlib
import itertools
import pkgutil
import re
from pathlib import Path

import posediff

project, author, release = "posediff", "the posediff authors", posediff.__version__
copyright = "the posediff authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme, html_show_sourcelink = "alabaster", False
html_theme_options = {"description": "Human pose with its uncertainty", "page_width": "1200px"}
autodoc_typehints, autodoc_member_order = "signature", "bysource"
autodoc_preserve_defaults = True
highlight_language = "none"  # of blocks without one, as the docstrings have
myst_heading_anchors = 2
REFERENCE = Path(__file__).parent / "reference"  # written by each build
FIRST = (
    "load",
    "estimate",
    "save",
    "view",
    "lift",
    "lifting_sample",
    "skeleton",
    "build",
    "windowed",
)


def modules(package):
    """The names of a package's modules that are code, itself first."""
    yield package.__name__
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.name == "posediff.conf" or found.name.endswith("__main__"):
            continue
        if found.ispkg:
            yield from modules(importlib.import_module(found.name))
        else:
            yield found.name


def write_reference(app):
    """A page for what `posediff` itself offers, and one for every package."""
    pages = {}
    for name in modules(posediff):
        pages.setdefault(".".join(name.split(".")[:2]), []).append(name)
    single = [page for page, names in pages.items() if len(names) == 1 and page != "posediff"]
    pages["commands and engine"] = [pages.pop(page)[0] for page in single]
    del pages["posediff"]
    REFERENCE.mkdir(exist_ok=True)
    first = [f"```{{eval-rst}}\n.. autofunction:: posediff.{name}\n```\n" for name in FIRST]
    texts = {"posediff": ["# posediff\n", *first]}
    for page, names in sorted(pages.items()):
        texts[page.replace(" ", "_")] = [f"# {page}\n", *map(_module, names)]
    index = ["# Reference\n\n```{toctree}\n:maxdepth: 1\n", "\n".join(texts), "\n```\n"]
    for page, parts in {**texts, "index": index}.items():
        (REFERENCE / f"{page}.md").write_text("\n".join(parts))


def _module(name):
    return f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def plain_text(app, what, name, obj, options, lines):
    """A docstring of plain text, in place, as reStructuredText."""
    text = "\n".join(lines)
    if text.startswith("Alias for field number"):
        text = ""
    made = []
    for paragraph in re.split(r"\n\s*\n", text):
        rows = paragraph.rstrip().split("\n")
        if any(re.match(r"\s{2}|- ", row) or re.search(r"\S {3}", row) for row in rows):
            made += ["::", "", *(f"    {row}" for row in rows), ""]
        else:
            for part in _described(rows):
                made += [*_escaped("\n".join(part)).split("\n"), ""]
    lines[:] = made


def _described(rows):
    """The rows of a paragraph, apart where a row begins with a name and a colon, if several do."""
    starts = [n for n, row in enumerate(rows) if re.match(r"\w+(, \w+)*( \(.*?\))?: ", row)]
    cuts = sorted({0, *starts, len(rows)}) if len(starts) > 1 else [0, len(rows)]
    return [rows[a:b] for a, b in itertools.pairwise(cuts)]


def _escaped(text):
    """Letters that mean something are escaped; what stands between backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return re.sub(r"([\\*_|`<>])", r"\\\1", text)
    outside = [re.sub(r"([\\*_|<>])", r"\\\1", part) for part in parts[::2]]
    code = [f"``{' '.join(part.split())}``\\ " for part in parts[1::2]]
    return "".join(a + b for a, b in zip(outside, [*code, ""], strict=True))


def setup(app):
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", plain_text)
