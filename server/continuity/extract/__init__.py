"""From the answers of a form to facts of the record.  SDC 4.0 extraction.html, docs/extract.md."""
