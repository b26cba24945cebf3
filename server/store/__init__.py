"""Where the record is kept: the port, and what implements it."""
