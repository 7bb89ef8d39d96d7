"""The runner of one attempt, on a node of a cluster. It imports only the standard library and the supervisor."""
