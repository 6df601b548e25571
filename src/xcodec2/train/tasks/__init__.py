"""What can be trained: a codec, and the semantic encoder of one."""
