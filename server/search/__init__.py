"""Search: requests to queries, resources to index rows, and what it means that they match."""
