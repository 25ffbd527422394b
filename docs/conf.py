"""Settings of Sphinx, which renders this folder as a site: `make docs`.

The same files are read on code hosts, so they are plain Markdown. Formulas become MathML when the site is
built: no page loads a font or a script from the network.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

HERE = Path(__file__).parent
project = "rlparity"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
html_theme = "furo"
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False


def contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Add to the index what the navigation is made of: the pages that it links, by section."""
    if page == "index":
        for section in source[0].split("\n## ")[1:]:
            title, _, listed = section.partition("\n")
            pages = re.findall(r"^- \[.*?\]\(([\w/-]+)\.md\)", listed, flags=re.MULTILINE)
            source[0] += "\n".join(
                ["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""]
            )


def files_of_the_project(app: Sphinx, tree: nodes.document) -> None:
    """Let links to files outside docs/ lead into the checkout around the site; reports to their page."""
    page = Path(app.outdir, f"{app.env.docname}.html")
    source = Path(app.env.doc2path(app.env.docname)).parent
    for link in list(tree.findall(lambda node: isinstance(node, download_reference | pending_xref))):
        target = source / link["reftarget"]
        if isinstance(link, pending_xref):
            if not link["reftarget"].startswith("/"):
                continue  # a page of the site
            target = target.with_name(f"{target.name}.md")
        if target.name == "README.md" and target.with_name("index.html").is_file():
            target = target.with_name("index.html")
        place = os.path.relpath(target.resolve(), page.parent)
        link.replace_self(nodes.reference("", "", *link.children, refuri=place))


def formula(self: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML."""
    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Register the functions above."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("source-read", contents)
    app.connect("doctree-read", files_of_the_project, priority=1)
