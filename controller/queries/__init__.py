"""Read models for every surface: the command line, the terminal, HTTP. They read the store and compute.

A view is a frozen dataclass whose fields are the JSON that design and docs promise, with aware datetimes for times.
Views never touch the scheduler: fire times come from the calendar.
"""
