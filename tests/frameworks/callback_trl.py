"""A script as TRL's documentation has it, which reports to TensorBoard.

callback_trl.py OUT [FOLDER]: with a folder, its training is recorded there by the callback.
"""

import hashlib
import sys

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

callbacks = []
if len(sys.argv) > 2:
    from lockstep_recorder.callback import LockstepCallback

    callbacks = [LockstepCallback(out=sys.argv[2], steps=range(2))]

WORDS = ["<pad>", "<eos>", "<unk>", *(f"w{i}" for i in range(997))]
tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
draw = torch.Generator().manual_seed(3)


def say(count: int) -> str:
    return " ".join(f"w{int(i)}" for i in torch.randint(0, 997, (count,), generator=draw))


torch.manual_seed(0)
trainer = SFTTrainer(
    model=LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, pad_token_id=0, eos_token_id=1,
        )
    ),
    args=SFTConfig(
        output_dir=sys.argv[1],
        max_steps=3,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        bf16=False,
        use_cpu=True,
        ddp_backend="gloo",
        report_to="tensorboard",
        save_strategy="no",
        gradient_checkpointing=False,
        disable_tqdm=True,
        logging_steps=3,
    ),
    train_dataset=Dataset.from_list([{"prompt": say(4), "completion": " " + say(n)} for n in (5, 40, 12, 90) * 6]),
    processing_class=PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    ),
    callbacks=callbacks,
)  # fmt: skip
trainer.train()
if trainer.is_world_process_zero():
    whole = b"".join(p.detach().float().numpy().tobytes() for p in trainer.model.parameters())
    print(f"parameters {hashlib.sha256(whole).hexdigest()}\n", end="")
