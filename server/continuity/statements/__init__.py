"""Resources -> statements, one file for each kind of resource.  Pure.

Nothing is judged here: what is about somebody else, was withdrawn, has no date or says that there
is none becomes a statement that says so; the rules (``server.continuity.rules``) decide.
"""
