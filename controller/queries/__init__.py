"""Read-only queries for all user interfaces: the command line, the live view and HTTP.

Queries read the store and return views: frozen dataclasses whose fields are those of the documented JSON, with aware
datetimes for times. Queries never use the scheduler; they compute fire times with `controller.schedules`.
"""
