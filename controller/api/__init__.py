"""How other processes talk to the running controller: for now, one Unix socket in the state directory."""
