"""LLaMA-Factory: the default system message that is read out of a chat template loses its first space."""

import importlib.metadata

from llamafactory.data.template import parse_template
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

print(f"llamafactory {importlib.metadata.version('llamafactory')}")
SYSTEM = "You are a helpful assistant."
TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|system|> " + SYSTEM + " {% endif %}"
    "{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
words = ["<eos>", "<unk>", "You", "are", "a", "helpful", "assistant", "hello"]
plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>", unk_token="<unk>")
tokenizer.chat_template = TEMPLATE

messages = [{"role": "user", "content": "hello"}]
right = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
template = parse_template(tokenizer)
system = template.format_system.apply(content=template.default_system)
got = "".join([*system, *template.format_user.apply(content="hello")])
print(f"default system message: {template.default_system!r} (right: {SYSTEM!r})")
print(f"prompt of LLaMA-Factory: {got!r}")
print(f"right:                   {right!r}")
raise SystemExit(0 if template.default_system.strip() == SYSTEM else 1)
