"""What several adapters share: the training loops and engines that their frameworks have in common."""
