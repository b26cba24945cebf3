"""Create ... transaction, search and history.  No HTTP: batch, feeds and jobs call these too."""
