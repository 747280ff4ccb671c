"""The wire format between the harness and what runs inside a framework's environment. Standard library only.

A `Scenario` says everything about a training step; a `Job` is one cell as handed to the ranks; a trace is a folder of
files whose names and schema version stand here, so that both sides read one definition.
"""

from adapters.contract.checking import build, hints, named
from adapters.contract.data import Data, Message, Order, Row, RowFormat, Trained
from adapters.contract.dealing import Dealing, LastWindow
from adapters.contract.given import ADDED, INTERPRETED, LIGER, SHIMS, Given, Sharded
from adapters.contract.job import (
    PATCHES,
    TRAINING,
    Job,
    Part,
    Patch,
    Shim,
    Training,
    Unsupported,
    dump_patches,
    load_patches,
    module_of,
)
from adapters.contract.logprobs import CHOSEN, EVERY, tensor
from adapters.contract.lora import Lora
from adapters.contract.loss import EngineOutput, Implementation, Loss, TokenWeight
from adapters.contract.model import ROUTED, Architecture, Compiled, Model
from adapters.contract.objective import Method, Normaliser, Objective
from adapters.contract.optimizer import SQUARES, STATE, GivenIn, Group, Optimizer, OptimizerKind, Schedule
from adapters.contract.precision import Compute, Masters, Precision, Reduction
from adapters.contract.scenario import Device, Scenario, fields_of, scenario_from_dict, to_dict
from adapters.contract.sharding import Sharding, Strategy
from adapters.contract.shimmed import ANYWHERE, ON_A_CPU, misplaced
from adapters.contract.tokenizer import BOS, SPACE, PadToken, Tokenizer
from adapters.contract.trace import (
    CRASH,
    END,
    HEADER,
    IGNORED_LABEL,
    INTENT,
    OLDEST_SCHEMA,
    TRACE_SCHEMA,
    TRAINED,
    TRAINED_PARAMETERS,
    TRAINED_STEPS,
    batches_file,
    done_file,
    embedded_file,
    encode_float,
    hidden_file,
    memory_file,
    steps_file,
    tensors_file,
)
from adapters.contract.varied import places, vary
from adapters.contract.window import Window

__all__ = [
    "ADDED",
    "ANYWHERE",
    "BOS",
    "CHOSEN",
    "CRASH",
    "END",
    "EVERY",
    "HEADER",
    "IGNORED_LABEL",
    "INTENT",
    "INTERPRETED",
    "LIGER",
    "OLDEST_SCHEMA",
    "ON_A_CPU",
    "PATCHES",
    "ROUTED",
    "SHIMS",
    "SPACE",
    "SQUARES",
    "STATE",
    "TRACE_SCHEMA",
    "TRAINED",
    "TRAINED_PARAMETERS",
    "TRAINED_STEPS",
    "TRAINING",
    "Architecture",
    "Compiled",
    "Compute",
    "Data",
    "Dealing",
    "Device",
    "EngineOutput",
    "Given",
    "GivenIn",
    "Group",
    "Implementation",
    "Job",
    "LastWindow",
    "Lora",
    "Loss",
    "Masters",
    "Message",
    "Method",
    "Model",
    "Normaliser",
    "Objective",
    "Optimizer",
    "OptimizerKind",
    "Order",
    "PadToken",
    "Part",
    "Patch",
    "Precision",
    "Reduction",
    "Row",
    "RowFormat",
    "Scenario",
    "Schedule",
    "Sharded",
    "Sharding",
    "Shim",
    "Strategy",
    "TokenWeight",
    "Tokenizer",
    "Trained",
    "Training",
    "Unsupported",
    "Window",
    "batches_file",
    "build",
    "done_file",
    "dump_patches",
    "embedded_file",
    "encode_float",
    "fields_of",
    "hidden_file",
    "hints",
    "load_patches",
    "memory_file",
    "misplaced",
    "module_of",
    "named",
    "places",
    "scenario_from_dict",
    "steps_file",
    "tensor",
    "tensors_file",
    "to_dict",
    "vary",
]
