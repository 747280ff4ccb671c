"""verl's old trainer by its own `main`, in the module that its shims are in: by its name another would run."""

from __future__ import annotations

from verl.trainer import fsdp_sft_trainer

if __name__ == "__main__":
    fsdp_sft_trainer.main()
