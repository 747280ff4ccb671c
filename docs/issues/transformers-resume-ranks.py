"""Training that goes on from a checkpoint on fewer ranks trains rows again that were trained before."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

ROWS, FOLDER = 16, os.environ.setdefault("FOLDER", tempfile.mkdtemp())


class Watched(Trainer):
    """Notes which row each micro-batch has: the first token of row k is k."""

    def compute_loss(self, model, inputs, **rest):
        with Path(FOLDER, f"seen-{self.state.global_step}").open("a") as file:
            file.write(f"{inputs['input_ids'][0, 0].item()}\n")
        return super().compute_loss(model, inputs, **rest)


def train(steps):
    """Optimizer steps of 2 micro-batches of one row on each rank, in the order of the dataset."""
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=32, **shape)
    rows = [{"input_ids": [row, 30, 31], "labels": [row, 30, 31]} for row in range(ROWS)]
    quiet = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "ddp_backend": "gloo"}
    window = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, "max_steps": steps, "save_steps": 1}
    options = TrainingArguments(output_dir=FOLDER, train_sampling_strategy="sequential", **window, **quiet)
    Watched(model=LlamaForCausalLM(config), args=options, train_dataset=rows).train(resume_from_checkpoint=steps > 1)


def rows_of(step, ranks):
    """The rows of a step that is made on so many ranks, from the last checkpoint on."""
    command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", __file__, str(step + 1)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return sorted(int(line) for line in Path(FOLDER, f"seen-{step}").read_text().split())


if len(sys.argv) > 1:
    train(int(sys.argv[1]))
    raise SystemExit(0)
print(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}")
print(f"step 0, on 2 ranks: rows {rows_of(0, 2)}")
after = rows_of(1, 1)
print(f"step 1, gone on with on 1 rank: rows {after} (right: [4, 5])")
raise SystemExit(0 if after == [4, 5] else 1)
