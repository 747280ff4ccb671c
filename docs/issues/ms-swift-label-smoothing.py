"""ms-swift: with label smoothing, accumulating 4 micro-batches of 1 row gives another gradient than 1 of 4 rows."""

import json
import os
import tempfile
from pathlib import Path

import swift
from swift import sft_main
from swift.template import TemplateMeta, register_template
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

folder = tempfile.mkdtemp()
os.environ["MODELSCOPE_CACHE"] = f"{folder}/cache"
words = ["<eos>", "<unk>", "user", "answer", *"abcdefghijklmnop"]
plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>", unk_token="<unk>")
tokenizer.save_pretrained(f"{folder}/model")
set_seed(0)
shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
LlamaForCausalLM(LlamaConfig(vocab_size=len(words), initializer_range=0.5, **shape)).save_pretrained(f"{folder}/model")
answers = ["a", "b c d e", " ".join("fghijklmnop"), "c d"]
asked = {"role": "user", "content": "a b"}
rows = [{"messages": [asked, {"role": "assistant", "content": answer}]} for answer in answers]
Path(folder, "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
prompt = ["user {{QUERY}} answer "]
register_template(
    TemplateMeta("tiny", prefix=[], prompt=prompt, chat_sep=[["eos_token_id"]], suffix=[["eos_token_id"]])
)


def logged(batch, accumulation, smoothing):
    """Loss and gradient norm of one optimizer step over all four rows, as logged."""
    out = f"{folder}/{batch}-{smoothing}"
    options = f"""--model {folder}/model --model_type llama --template tiny --dataset {folder}/rows.jsonl
        --check_model false --tuner_type full --torch_dtype float32 --use_cpu true --gradient_checkpointing false
        --per_device_train_batch_size {batch} --gradient_accumulation_steps {accumulation} --max_grad_norm 1e9
        --label_smoothing_factor {smoothing} --max_steps 1 --logging_steps 1 --save_strategy no --output_dir {out}
        --dataset_shuffle false --train_dataloader_shuffle false --split_dataset_ratio 0 --add_version false
        --max_length 128 --dataloader_num_workers 0 --dataloader_persistent_workers false"""
    sft_main(options.split())
    lines = [json.loads(line) for line in Path(out, "logging.jsonl").read_text().splitlines()]
    step = next(line for line in lines if "grad_norm" in line)
    return f"loss {step['loss']:.3f}, gradient norm {step['grad_norm']:.3f}"


results = {s: (logged(1, 4, s), logged(4, 1, s)) for s in (0.0, 0.1)}
print(f"ms-swift {swift.__version__}")
for smoothing, (several, one) in results.items():
    print(f"label smoothing {smoothing}, 4 micro-batches of 1 row: {several} (right: {one})")
raise SystemExit(0 if all(several == one for several, one in results.values()) else 1)
