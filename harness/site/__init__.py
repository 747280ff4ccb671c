"""The site file: what one machine or cluster has, said once instead of on every command line."""
