"""Operations written for one kind of processor; each has a plain PyTorch form that it equals."""
