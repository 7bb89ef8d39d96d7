"""Python specs to documents: the only place that executes files below the deployments path.

`driver` runs in a process of its own and executes one file; `sandbox` is the process around that, which leaves nothing
of it behind; `render_process` starts both, with a timeout and limits; `rendered_source` puts the result in place of
the file, so that everything after reads documents. `app` wraps the followed source with it, `controller validate` only
if it is asked to; `controller deployment create` renders the one file that it is given. See docs/format.md, "Python
specs".
"""

from controller.python_specs.render_process import Renderer
from controller.python_specs.rendered_source import RenderedSource

__all__ = ["RenderedSource", "Renderer"]
