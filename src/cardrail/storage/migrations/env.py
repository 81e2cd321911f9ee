"""Alembic's entry: it works on the connection that ``migrate()`` hands it, inside that transaction."""

from alembic import context

from cardrail.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("target_metadata", metadata),
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
