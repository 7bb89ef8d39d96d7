"""How other processes talk to the running controller: one HTTP API, at its Unix socket and at an address."""
