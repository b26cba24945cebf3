"""The benchmark behind ``make bench``: client, work, processes and the page that is written."""
