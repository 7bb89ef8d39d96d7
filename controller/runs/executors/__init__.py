"""Where the process of a run lives. There is one executor: this machine."""
