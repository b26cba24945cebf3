"""What ``tellonce load`` does: find files, cut them into parts, store each part once."""
