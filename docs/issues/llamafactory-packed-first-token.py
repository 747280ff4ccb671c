"""LLaMA-Factory: with train_on_prompt, a packed row's first token is trained as what follows the row before it."""

import importlib.metadata

from llamafactory.data.processor import PackedSupervisedDatasetProcessor
from llamafactory.data.template import get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

print(f"llamafactory {importlib.metadata.version('llamafactory')}")
words = ["<eos>", "<unk>", "Human", "Assistant", ":", *"abcdefgh"]
plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>", unk_token="<unk>")

options = DataArguments(template="default", cutoff_len=64, packing=True, neat_packing=True, train_on_prompt=True)
template = get_template_and_fix_tokenizer(tokenizer, options)
processor = PackedSupervisedDatasetProcessor(template=template, tokenizer=tokenizer, processor=None, data_args=options)
texts = [("a b", "c d"), ("e f", "g h")]
rows = {
    "_prompt": [[{"role": "user", "content": prompt}] for prompt, _ in texts],
    "_response": [[{"role": "assistant", "content": response}] for _, response in texts],
    **{name: [None] * len(texts) for name in ("_system", "_tools", "_images", "_videos", "_audios")},
}
rows["_system"] = rows["_tools"] = [""] * len(texts)
packed = processor.preprocess_dataset(rows)
ids, labels, row = (packed[name][0] for name in ("input_ids", "labels", "attention_mask"))
starts = [at for at in range(1, len(ids)) if row[at] != row[at - 1] and row[at]]
for at in starts:
    before, first = tokenizer.convert_ids_to_tokens([ids[at - 1], ids[at]])
    print(
        f"row {row[at]} begins at position {at}: {before!r} of row {row[at - 1]} is trained to predict {first!r}:"
        f" label {labels[at]} (right: -100)"
    )
raise SystemExit(1 if any(labels[at] != -100 for at in starts) else 0)
