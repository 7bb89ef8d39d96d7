"""What runs beside a flow, in processes of its own: supervisor, fork server, and the flow's own first steps.

Nothing here imports anything but the standard library and this folder, so that an upgrade under a running flow, or a
fault of the controller, does not reach it.

A supervisor that starts cold pays for each import: no `dataclasses` here, which loads more than all the rest.
"""
