"""The program of a flow in a new interpreter: `python -P flow_main.py` calls `flow_call.run_program`.

Python compiles a program whenever it starts, but stores the bytecode of a module. Therefore this file is short.
"""

import os
import sys

if __name__ == "__main__":
    # Python 3.10 has no `-P`: there, the folder of this file is on the path until we remove it.
    path = sys.path[:] if getattr(sys.flags, "safe_path", False) else sys.path[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    flow_call = __import__("flow_call")
    sys.path[:] = path
    del sys.modules["flow_call"]
    sys.exit(flow_call.run_program())
