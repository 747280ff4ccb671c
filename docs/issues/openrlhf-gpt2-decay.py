"""OpenRLHF: weight decay falls on the layer norms of GPT-2's layers, though its last layer norm is exempt."""

import importlib.metadata

from openrlhf.utils.deepspeed.deepspeed_utils import get_optimizer_grouped_parameters
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

print(f"openrlhf {importlib.metadata.version('openrlhf')}, transformers {importlib.metadata.version('transformers')}")
CONFIGS = [
    GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=16),
    LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2),
]
wrong = []
for config in CONFIGS:
    model = AutoModelForCausalLM.from_config(config)
    groups = get_optimizer_grouped_parameters(model, weight_decay=0.1)
    decayed = {id(p) for group in groups if group["weight_decay"] > 0 for p in group["params"]}
    norms = [name for name, p in model.named_parameters() if p.ndim == 1 and id(p) in decayed]
    wrong += norms
    print(f"{config.model_type}: vectors that are decayed: {norms} (right: [])")
raise SystemExit(1 if wrong else 0)
