"""The Trainer's gradient with accumulation is 1/gradient_accumulation_steps of what it should be."""

import tempfile

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

print(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}")
shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
config = LlamaConfig(vocab_size=32, initializer_range=0.5, **shape)
torch.manual_seed(0)
rows = [{"input_ids": ids, "labels": ids} for ids in torch.randint(0, 32, (4, 9)).tolist()]


def gradient_norm(batch, accumulation):
    """The norm that is logged of one step over all four rows."""
    torch.manual_seed(0)
    quiet = {"logging_steps": 1, "report_to": [], "save_strategy": "no", "disable_tqdm": True, "use_cpu": True}
    window = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation, "max_steps": 1}
    options = TrainingArguments(output_dir=tempfile.mkdtemp(), max_grad_norm=1e9, **window, **quiet)
    trainer = Trainer(model=LlamaForCausalLM(config), args=options, train_dataset=rows)
    trainer.train()
    return float(next(line["grad_norm"] for line in trainer.state.log_history if "grad_norm" in line))


right, got = gradient_norm(4, 1), gradient_norm(1, 4)
print(f"gradient norm, one micro-batch of 4 rows: {right:.3f}")
print(f"gradient norm, 4 micro-batches of one row: {got:.3f} (right: {right:.3f})")
raise SystemExit(0 if abs(got / right - 1) < 1e-3 else 1)
