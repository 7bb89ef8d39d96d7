"""The kinds of databases: `sqlite`, a file in the state directory, and `postgresql`, a database on a server.

Each has a class with the methods of `controller.store.database.Database`. All other code works with both.
"""
