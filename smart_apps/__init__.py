"""SMART apps that ship with the server; none yet."""
