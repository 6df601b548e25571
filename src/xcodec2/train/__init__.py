"""What a codec is trained by."""
