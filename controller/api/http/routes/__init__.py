"""The endpoints of the API, one module per resource. Reads use `controller.queries`; changes use `Operations`."""
