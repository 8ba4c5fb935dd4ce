"""Alembic's entry: runs the migrations on the connection that ``upgrade`` hands over."""

from alembic import context

from connectors.store.tables_trade import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # the caller's transaction holds all of it: a schema is there as a whole or not at all
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
