#!/bin/bash
# peft 0.21.2 with transformers 5.23.0 and torch 2.13.0: merging LoRA on `embed_tokens` of a model
# with tied embeddings gives another model.
#
# In training the adapter changes the embedding alone: the head multiplies by the base's own
# weights. `merge_and_unload()` adds the adapter to the one tensor that both share, so that the head
# moves as well. Logits before and after merging differ by far more than rounding. LoRA on q_proj, or
# on an untied model, merges to within rounding.
#
# Seen (largest difference of logits before and after merging):
#   tied, embed_tokens 23   untied, embed_tokens 0   tied, q_proj 8.9e-08
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2
"$folder/venv/bin/python" - <<'END' 2> /dev/null
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

IDS = torch.arange(8)[None]


def difference(target: str, tied: bool) -> float:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=tied,
    )
    model = get_peft_model(
        LlamaForCausalLM(config), LoraConfig(r=4, lora_alpha=8, target_modules=[target])
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:  # as after some training
                weight.copy_(0.3 * torch.randn(weight.shape))
        before = model.eval()(IDS).logits
        after = model.merge_and_unload().eval()(IDS).logits
    return float((before - after).abs().max())


seen = {
    "tied, embed_tokens": difference("embed_tokens", True),
    "untied, embed_tokens": difference("embed_tokens", False),
    "tied, q_proj": difference("q_proj", True),
}
print("   ".join(f"{name} {value:.2g}" for name, value in seen.items()))
assert seen["tied, embed_tokens"] > 1
assert seen["untied, embed_tokens"] < 1e-4
assert seen["tied, q_proj"] < 1e-4
END
