#!/usr/bin/env bash
# transformers 5.23.0 with torch 2.13.0: the same attention under another name sees padding.
#
# AttentionInterface.register("mine", sdpa_attention_forward) gives transformers' own function a second
# name. With set_attn_implementation("mine") the attention mask that a caller gives is dropped without
# a word, and so is what restarting position_ids say of packed examples: masks are made only for names
# that AttentionMaskInterface knows, too. Rows without padding are as before, so that a try with one
# sentence shows nothing. Registering sdpa_mask under the same name brings the mask back.
#
# Output seen:
#   whole row      largest difference 0.0
#   padded row     largest difference above 0.1
#   packed row     largest difference above 0.1
#   with the mask  largest difference 0.0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import torch
from transformers import AttentionInterface, AttentionMaskInterface, LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

AttentionInterface.register("mine", sdpa_attention_forward)
AttentionInterface.register("mine_too", sdpa_attention_forward)
AttentionMaskInterface.register("mine_too", sdpa_mask)
torch.manual_seed(0)
shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
config = LlamaConfig(vocab_size=50, num_attention_heads=4, initializer_range=0.3, **shape)
model = LlamaForCausalLM(config).eval()
ids = torch.randint(50, (2, 12))
mask = torch.ones(2, 12, dtype=torch.long)
mask[1, :4] = 0  # the second row is padded on its left
restarting = torch.cat([torch.arange(5), torch.arange(7)])[None]


@torch.inference_mode()
def logits(name, **inputs):
    model.set_attn_implementation(name)
    return model(**inputs, use_cache=False).logits


def difference(name, place, **inputs):
    return float((logits("sdpa", **inputs) - logits(name, **inputs))[place].abs().max())


padded, packed = {"input_ids": ids, "attention_mask": mask}, {"input_ids": ids[:1], "position_ids": restarting}
found = {
    "whole row": difference("mine", (0,), **padded),
    "padded row": difference("mine", (1, slice(4, None)), **padded),
    "packed row": difference("mine", (0, slice(5, None)), **packed),
}
known = max(
    difference("mine_too", (1, slice(4, None)), **padded), difference("mine_too", (0,), **packed)
)
for name, value in found.items():
    print(name, "largest difference", value)
print("with the mask", known)
assert found["whole row"] < 1e-5 and known < 1e-5
assert min(found["padded row"], found["packed row"]) > 0.1
PY
