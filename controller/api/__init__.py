"""The interface of the running controller to other processes: an HTTP API, served on a Unix socket and on TCP."""
