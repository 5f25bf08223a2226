"""How the documentation site is built: `make docs` writes it to out/docs, every warning is an error."""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from emotion_llama import __version__  # noqa: E402

# Notebooks lie in examples/, where readers of the repository look for them; Sphinx reads only what is below docs/.
TUTORIALS = ROOT / "docs" / "tutorials"
shutil.rmtree(TUTORIALS, ignore_errors=True)
TUTORIALS.mkdir()
for notebook in sorted((ROOT / "examples").glob("*.ipynb")):
    shutil.copy(notebook, TUTORIALS / notebook.name)

project = "emotion-llama"
author = "The emotion-llama authors"
copyright = f"2026, {author}"  # noqa: A001  (Sphinx's name)
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["measured/*.json", "schema"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
# docs/measured holds what benchmarks print: their tables begin at the second level.
suppress_warnings = ["misc.highlighting_failure", "myst.header"]

# Tutorials are run when the site is built: what they print is what the present code prints.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"emotion-llama {release}"
html_extra_path = ["schema"]
