"""The words that two or more parts share: deployments, schedules, findings, runs, conditions, events.

Values only: frozen, slotted, keyword-only dataclasses and closed sets. Nothing here reads, writes or waits.
"""
