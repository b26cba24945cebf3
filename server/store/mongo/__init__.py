"""The store for those who outgrow one machine: a MongoDB replica set or sharded cluster."""
