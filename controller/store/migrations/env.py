"""The entry point of Alembic. It runs the migrations on the connection that `store.database.migrate` provides."""

from alembic import context

from controller.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
