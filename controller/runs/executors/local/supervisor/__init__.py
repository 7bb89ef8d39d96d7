"""The processes around a flow: the supervisor, the fork server, and the code that loads and calls the flow.

These modules import only the standard library and each other, so that neither an upgrade during a run nor an error in
the controller affects a running flow.

A supervisor that starts cold pays for each import. Don't use `dataclasses` here: it loads more than all the rest.
"""
