"""A fictional hospital and one of its days, sent to a real server over real sockets.

Composition floor, above ``server.app``: nothing of the server imports this package.  Nobody in it
exists; towns, insurers, numbers and telephone numbers are invented.
"""
