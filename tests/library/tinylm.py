"""A small library that fine-tunes language models, as somebody may have written one. It knows nothing of Lockstep."""

import torch
from torch import nn

IGNORED = -100


class LanguageModel(nn.Module):
    def __init__(self, vocabulary=400, width=24):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.mix = nn.GRU(width, width, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, input_ids, labels=None):
        states, _ = self.mix(self.embed(input_ids))
        logits = self.head(self.norm(states))
        if labels is None:
            return logits, None
        flat = logits[:, :-1].reshape(-1, logits.shape[-1])
        return logits, nn.functional.cross_entropy(flat, labels[:, 1:].reshape(-1), reduction="sum")


def conversations(steps, lengths=(9, 31, 14), prompt=4, vocabulary=400, seed=1):
    """Windows of micro-batches, each the ids and labels of one conversation."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        window = []
        for length in lengths:
            ids = torch.randint(vocabulary, (1, length), generator=draw)
            labels = ids.clone()
            labels[:, :prompt] = IGNORED
            window.append((ids, labels))
        yield window


def finetune(model, optimizer, windows, *, average="tokens", forget_first=False, divide=True):
    """Train on each window. The options are the bugs that a release may have."""
    model.train()
    for window in windows:
        trained = [int((labels[:, 1:] != IGNORED).sum()) for _, labels in window]
        for number, (ids, labels) in enumerate(window):
            _, loss = model(ids, labels=labels)
            each = sum(trained) if average == "tokens" else trained[number] * len(window)
            (loss / each * (1 if divide else len(window))).backward()
            if forget_first and number == 0:
                optimizer.zero_grad()
        optimizer.step()
        optimizer.zero_grad()
