"""What was shown and is later corrected finds its readers (C11).  docs/extract.md."""
