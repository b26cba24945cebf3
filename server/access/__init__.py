"""Who may see what: a context, and the rewriting of queries by it."""
