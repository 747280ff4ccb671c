"""A script as TRL's documentation has it, on a model and data made here. Nothing in it knows of Lockstep.

stock_trl.py WIDTH [bf16] [zero2-offload] [lora] [checkpointing] [packing] [compile]
"""

import hashlib
import sys

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

WORDS = ["<pad>", "<eos>", "<unk>", "<|user|>", "<|assistant|>", *(f"w{i}" for i in range(31988))]
LENGTHS = (7, 231, 40, 12, 90, 55, 20, 130) * 3

tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
draw = torch.Generator().manual_seed(3)


def say(count: int) -> str:
    return " ".join(f"w{int(i)}" for i in torch.randint(0, 31988, (count,), generator=draw))


width = int(sys.argv[1])
torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=len(WORDS), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, pad_token_id=0, eos_token_id=1,
    )
)  # fmt: skip
offload = {
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "bf16": {"enabled": "auto"},
    "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}},
    "zero_allow_untested_optimizer": True,
    "zero_force_ds_cpu_optimizer": False,
}
adapters = None
if "lora" in sys.argv:
    from peft import LoraConfig

    adapters = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM")
trainer = SFTTrainer(
    model=model,
    args=SFTConfig(
        output_dir="output",
        max_steps=3,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
        learning_rate=1e-3,
        bf16="bf16" in sys.argv,
        use_cpu=True,
        ddp_backend="gloo",
        report_to="none",
        save_strategy="no",
        gradient_checkpointing="checkpointing" in sys.argv,
        packing="packing" in sys.argv,
        packing_strategy="wrapped",
        max_length=128 if "packing" in sys.argv else 1024,
        torch_compile_backend="aot_eager" if "compile" in sys.argv else None,
        disable_tqdm=True,
        deepspeed=offload if "zero2-offload" in sys.argv else None,
    ),
    train_dataset=Dataset.from_list(
        [{"prompt": f"<|user|> {say(6)} <|assistant|> ", "completion": say(length)} for length in LENGTHS]
    ),
    peft_config=adapters,
    processing_class=PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    ),
)  # fmt: skip
trainer.train()
if trainer.is_world_process_zero():
    whole = b"".join(p.detach().float().numpy().tobytes() for p in trainer.model.parameters())
    print(f"parameters {hashlib.sha256(whole).hexdigest()}\n", end="")
