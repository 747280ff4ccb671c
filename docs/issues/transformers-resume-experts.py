"""A Mixtral that goes on from a checkpoint: the Trainer loads all of it but the experts and their routers."""

import tempfile

import torch
import transformers
from transformers import MixtralConfig, MixtralForCausalLM, Trainer, TrainerCallback, TrainingArguments

print(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}")
shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
config = MixtralConfig(vocab_size=32, num_key_value_heads=2, num_local_experts=4, **shape)
ids = torch.arange(24).view(2, 12)
rows = [{"input_ids": row, "labels": row} for row in ids]
folder = tempfile.mkdtemp()
begun = {}


class Look(TrainerCallback):
    def on_step_begin(self, _options, state, control, model=None, **_):
        if state.global_step == 1:  # the step after the checkpoint
            begun.update({name: p.detach().clone() for name, p in model.named_parameters()})
            control.should_training_stop = True


def trainer(steps):
    torch.manual_seed(0)
    options = TrainingArguments(
        output_dir=folder, max_steps=steps, save_steps=1, learning_rate=0.1, use_cpu=True, report_to=[]
    )
    return Trainer(model=MixtralForCausalLM(config), args=options, train_dataset=rows, callbacks=[Look()])


first = trainer(1)
first.train()
saved = {name: p.detach().clone() for name, p in first.model.named_parameters()}
trainer(2).train(resume_from_checkpoint=f"{folder}/checkpoint-1")
off = {name: float((begun[name] - p).abs().max()) for name, p in saved.items()}
lost = [name for name, far in off.items() if far]
print(f"tensors that are not the checkpoint's in the step after it: {len(lost)} of {len(saved)} (right: 0)")
for name in lost:
    print(f"  {name}: off by up to {off[name]:.3f}")
raise SystemExit(1 if lost else 0)
