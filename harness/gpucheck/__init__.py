"""`make gpu-check`: what runs on one GPU within minutes, told in a table and kept in one folder."""
