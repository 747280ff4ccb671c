"""Small policies trained on exact rollouts into which a mismatch is put back, with and without corrections."""
