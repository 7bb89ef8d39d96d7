"""The endpoints of the API, one module per resource. They use `controller.queries` and `operations`."""
