"""What runs on a node of a cluster: the runner of one attempt. It imports only the standard library and the supervisor."""
