"""What `adapters.sqlite_store` is made of: schema, connections, one transaction, one queue."""
