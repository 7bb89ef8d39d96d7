"""The program of a flow in a new interpreter: `python -P flow_main.py` calls `flow_call.run_program`.

Python compiles a program whenever it starts, but stores the bytecode of a module. Therefore this file is short. A fork
server has our modules already, and passes their bytecode on after the call (see `own_code`): no file is searched.
"""

import marshal
import os
import sys

if __name__ == "__main__":
    with open(3, "rb") as stream:
        content = stream.read()
    call = marshal.loads(content)  # `load` would read each object on its own
    codes = marshal.loads(memoryview(content)[-call["code"] :]) if call.get("python") == sys.version else {}
    if codes:
        flow_call = type(sys)("flow_call")
        flow_call.__file__ = codes["flow_call"].co_filename
        exec(codes["flow_call"], vars(flow_call))
    else:
        # Python 3.10 has no `-P`: there, the folder of this file is on the path until we remove it.
        path = sys.path[:] if getattr(sys.flags, "safe_path", False) else sys.path[1:]
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        flow_call = __import__("flow_call")
        sys.path[:] = path
        del sys.modules["flow_call"]
    sys.exit(flow_call.run_program(call, codes))
