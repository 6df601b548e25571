"""What computes the scores of next tokens in this process."""
