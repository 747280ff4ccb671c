"""Where padding is by EOS, the EOS of an earlier turn gets no gradient from the tokens that read it."""

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

print(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}")
EOS = 2


def gradient(pad):
    """How long the gradient of the EOS's row of the embedding is, in a row of two turns without any padding."""
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=32, eos_token_id=EOS, pad_token_id=pad, **shape)
    model = LlamaForCausalLM(config)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    ids = torch.tensor([[5, 9, 7, EOS, 11, 4, 8, EOS]])
    model(input_ids=ids, labels=ids).loss.backward()
    return model.get_input_embeddings().weight.grad[EOS].norm().item()


right, got = gradient(None), gradient(EOS)
print(f"gradient of the EOS's row, without a padding token: {right:.6f}")
print(f"gradient of the EOS's row, pad_token_id = eos_token_id: {got:.6f} (right: {right:.6f})")
raise SystemExit(0 if abs(got - right) < 1e-6 else 1)
