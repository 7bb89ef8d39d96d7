"""Applies what the repository declares, and reports the result as conditions and events.

A pass always has these stages, each of which uses the result of the one before: observe -> read -> parse -> plan ->
apply (one transaction) -> project to the timetable -> garbage.

Passes are level-triggered: a change only starts a pass, whatever it is, and a pass without changes costs next to
nothing. An invalid manifest is not a deleted one, and an unreachable source is not an empty one: neither prunes.
"""
