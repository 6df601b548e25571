"""What codes know: how a codebook is used, and how far codes tell phones and speakers."""
