#!/usr/bin/env bash
# transformers 5.23.0 with torch 2.13.0: Xcodec2Model's mask of codes leaves out the last code.
#
# A code stands for 320 samples, begun ones included: 500 samples, padded to 640, are two codes, and
# both are decoded. `audio_codes_mask`, which is there to tell codes from padding in a batch, counts
# whole hops of the padding mask: one code. Whoever keeps the codes under the mask loses the end of
# every recording whose length is no multiple of 320, up to 20 ms of it.
#
# Output seen:
