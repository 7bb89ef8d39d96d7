"""Renders Python specs to documents. Only this package executes files below the deployments path.

`driver` executes one file in its own process; `sandbox` is the parent of that process and removes everything that it
leaves behind; `render_process` starts both, with a timeout and limits; `rendered_source` replaces the file by the
result, so that later stages read documents only. `app` wraps the followed source in a `RenderedSource`, and
`controller validate` does so on request; `controller deployment create` renders a single file. See docs/format.md,
"Python specs".
"""

from controller.python_specs.render_process import Renderer
from controller.python_specs.rendered_source import RenderedSource

__all__ = ["RenderedSource", "Renderer"]
