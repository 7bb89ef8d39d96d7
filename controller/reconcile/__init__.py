"""Makes what git says true, and says how far it got.

One pass, always in this order, each stage a result for the next: observe -> read -> parse -> plan -> apply (one
transaction) -> project to the timetable -> garbage.

Level, not edge: a hint only says "look again", and a pass with nothing new costs next to nothing. Invalid is not
absent, unreachable is not empty: neither ever prunes anything.
"""

from controller.reconcile.loop import Loop
from controller.reconcile.pass_deadline import Overdue
from controller.reconcile.reconciler import PassResult, Reconciler

__all__ = ["Loop", "Overdue", "PassResult", "Reconciler"]
