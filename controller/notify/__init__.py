"""Notifications: evaluates what has gone wrong, writes messages about it, and delivers them to the operator's channels.

The recorded events are the input. A durable cursor marks what was evaluated, and incidents, messages and the cursor
are written in one transaction. So no failure is lost or reported twice, whenever the controller is killed.
"""
