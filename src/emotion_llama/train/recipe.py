"""The recipe of a training run: strict YAML and dotted overrides in, all mistakes at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from emotion_llama.chat.config import Config
from emotion_llama.config import checked, merged, override_tree, read_tree, rename_old_keys, resolve_paths
from emotion_llama.labels import LABEL_SPACES, LabelSpace
from emotion_llama.models.clips import ENCODERS
from emotion_llama.prompts.layouts import LAYOUTS
from emotion_llama.prompts.tasks import POOLS, TARGET_RULES, TASKS
from emotion_llama.train.dataset import DROPPABLE

PARTS = ("projector", "lora", "language_model", "encoders")  # of the model, that can learn
DEFAULT_TASKS = {"emotion": 1.0, "reason": 1.0}  # of the published stage 1
# Keys of the release before this one -> their names of today.
OLD_OPTIM_KEYS = {"peak_rate": "learning_rate", "least_rate": "min_lr", "first_rate": "warmup_start_lr"}
_OLD_KEYS = {
    **{f"optim.{old}": new for old, new in OLD_OPTIM_KEYS.items()},
    "run.rounds": "epochs",
    "run.steps_per_round": "steps_per_epoch",
    "run.accumulate": "gradient_accumulation_steps",
}
Share = Annotated[float, Field(ge=0, lt=1)]


def _above_zero(weights: dict[str, float]) -> dict[str, float]:
    kept = {name: weight for name, weight in weights.items() if weight}
    if weights and not kept:
        raise ValueError("every weight is 0; give at least one above 0")
    return kept


# Name -> its weight relative to the others; a name of weight 0 is as good as not there.
Weights = Annotated[dict[str, Annotated[float, Field(ge=0)]], AfterValidator(_above_zero)]


class LoraPart(Config):
    """The adapter; values of the published configuration."""

    rank: int = Field(64, ge=1, description="Published: 64.")
    alpha: int = Field(16, ge=1, description="Published: 16.")
    dropout: Share = Field(0.05, description="Published: 0.05.")
    targets: tuple[str, ...] = Field(("q_proj", "v_proj"), min_length=1, description="Layers of the language model.")


class ModelPart(Config):
    """Where training starts, and which parts of the model learn."""

    start: Path = Field(description="Folder of a model: of `emotion-llama convert`, or of an earlier run's export.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="Of the frozen weights.")
    quantization: Literal["none", "int8", "nf4"] = Field("none", description="Of the language model (QLoRA with nf4).")
    train: tuple[str, ...] = Field(
        ("projector", "lora"), min_length=1, description="What learns. Published: projections and LoRA."
    )
    lora: LoraPart | None = Field(LoraPart(), description="A new adapter where the start has none; null adds none.")

    @model_validator(mode="after")
    def _known_parts(self) -> ModelPart:
        if unknown := sorted(set(self.train) - set(PARTS)):
            raise ValueError(f"no part {unknown[0]!r} of the model can learn (there are: {', '.join(PARTS)})")
        return self


class DataPart(Config):
    """The data."""

    train: tuple[Path, ...] = Field(
        min_length=1, description="MERR folders (their train split, where they have splits), .csv or .jsonl files."
    )
    validation: tuple[Path, ...] = Field((), description="Likewise (their validation split); never learnt from.")
    videos: Path | None = Field(None, description="Folder of the clips that MERR files name; for features made here.")
    features: Path | None = Field(
        None, description="Store or published folders; null makes a store of the clips (`video`, `videos`) in the run."
    )
    label_space: Literal["merr9", "mer6", "dfew7"] = Field("merr9", description="Labels of the data.")
    layout: str = Field("train", description="Prompt layout (docs/prompts.md).")
    layouts: Weights = Field(
        {}, description="Layout -> how often it is drawn, to learn several; validated and used: `layout`."
    )
    target_rule: str = Field("published", description="How answers are written: published (lower case...), plain.")
    pools: dict[str, str] = Field({}, description="Task -> instruction pool in place of its own.")
    dropout: dict[str, Share] = Field({}, description=f"How often is left out: {', '.join(DROPPABLE)}. Published: 0.")
    without: tuple[str, ...] = Field(
        (), description="Encoders whose tokens are always left out, to see what each is for."
    )
    grounded: bool = Field(
        False, description="Descriptions keep all that they mention in their prompt, whatever dropout."
    )
    balance: Literal["label"] | None = Field(None, description="Draw classes evenly; null as the data has them.")

    @model_validator(mode="after")
    def _known_names(self) -> DataPart:
        choices: list[tuple[str, str, tuple[str, ...]]] = [
            ("layout", self.layout, tuple(LAYOUTS)),
            *(("layouts", name, tuple(LAYOUTS)) for name in self.layouts),
            ("target_rule", self.target_rule, tuple(TARGET_RULES)),
            *((f"pools.{task}", pool, POOLS) for task, pool in self.pools.items()),
            *(("pools", task, tuple(TASKS)) for task in self.pools),
            *(("dropout", part, DROPPABLE) for part in self.dropout),
            *(("without", part, tuple(ENCODERS)) for part in self.without),
        ]
        for name, value, known in choices:
            if value not in known:
                raise ValueError(f"{name}: {value!r} is not known (there are: {', '.join(known)})")
        return self

    @property
    def space(self) -> LabelSpace:
        """The label space itself."""
        return LABEL_SPACES[self.label_space]


class OptimPart(Config):
    """AdamW and its schedule; values of the published stage 1."""

    learning_rate: float = Field(1e-5, ge=0, description="Published: 1e-5 in stage 1, 1e-6 in stage 2.")
    min_lr: float = Field(1e-6, ge=0, description="Published: 1e-6.")
    warmup_start_lr: float = Field(1e-6, ge=0, description="Start of the warm-up. Published: 1e-6.")
    warmup_steps: int = Field(1000, ge=0, description="Published: 1000.")
    weight_decay: float = Field(0.05, ge=0, description="Published: 0.05; biases and norms have none.")
    beta1: Share = Field(0.9, description="AdamW's default.")
    beta2: Share = Field(0.999, description="AdamW's default.")
    max_grad_norm: float = Field(0.0, ge=0, description="0 does not clip, as published.")

    @model_validator(mode="after")
    def _ordered(self) -> OptimPart:
        if max(self.min_lr, self.warmup_start_lr) > self.learning_rate:
            raise ValueError(
                f"min_lr {self.min_lr:g} and warmup_start_lr {self.warmup_start_lr:g} must not be above learning_rate "
                f"{self.learning_rate:g}"
            )
        return self


class RunPart(Config):
    """How long, how many at once, on what, and what is kept."""

    epochs: int = Field(30, ge=1, description="Each ends with validation and a checkpoint. Published: 30.")
    steps_per_epoch: int = Field(1000, ge=1, description="Published: 1000 iterations.")
    batch_size: int = Field(1, ge=1, description="Of one process in one pass. Published: 1.")
    gradient_accumulation_steps: int = Field(1, ge=1, description="Passes of a step. Published: 1, on 4 GPUs.")
    loss: Literal["examples", "tokens", "roots"] = Field(
        "examples", description="What counts alike: examples (published) or tokens of a step's answers; roots: between."
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Of autocast; float32: none.")
    activation_checkpointing: bool = Field(False, description="Less memory, a third more time. Published: true.")
    compile: bool = Field(False, description="torch.compile.")
    group_lengths: bool = Field(True, description="Batches of alike lengths, so that little is padded.")
    workers: int = Field(0, ge=0, description="Processes that prepare batches.")
    fsdp: bool = Field(False, description="Shard weights over processes (FSDP2).")
    seed: int = Field(42, ge=0, description="Published: 42.")
    log_every: int = Field(10, ge=1, description="Steps between lines of the log.")
    best_by: Literal["loss", "uar", "accuracy", "weighted_f1", "macro_f1"] = Field(
        "uar", description="Which checkpoint is the result. Published: the best on the test set, by hand."
    )
    patience: int | None = Field(None, ge=1, description="Epochs without a better one before stopping; null: never.")
    keep: int = Field(2, ge=1, description="Checkpoints kept, beside the best.")


class TrainRecipe(Config):
    """A whole recipe."""

    model: ModelPart
    data: DataPart
    tasks: Weights = Field(DEFAULT_TASKS, min_length=1, description="Task -> its weight.")
    optim: OptimPart = OptimPart()
    run: RunPart = RunPart()

    @model_validator(mode="after")
    def _fits(self) -> TrainRecipe:
        if unknown := sorted(set(self.tasks) - (set(TASKS) - {"free"})):
            raise ValueError(f"tasks: no task {unknown[0]!r} (there are: {', '.join(set(TASKS) - {'free'})})")
        if self.run.fsdp and self.run.best_by != "loss":
            raise ValueError("run.best_by: sharded weights (fsdp) are compared by loss; set run.best_by to loss")
        if self.run.fsdp and self.model.quantization != "none":
            raise ValueError("run.fsdp: quantised weights cannot be sharded here; choose one of the two")
        return self

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.run.epochs * self.run.steps_per_epoch


def load_train_recipe(path: Path, overrides: Sequence[str] = ()) -> TrainRecipe:
    """The recipe of a file, with single choices overridden.

    Paths are relative to the recipe's folder; those of overrides to the current one. An override sets the value that
    its key names: `tasks.reason=2` an entry, `tasks={emotion: 1}` the whole mapping.

    Raises:
        InputError: the file cannot be read, a key is there twice or unknown, or a value does not fit; all mistakes are
            named at once.
    """
    tree, given = {"tasks": DEFAULT_TASKS, **read_tree(path)}, override_tree(overrides)
    for part, base in ((tree, path.absolute().parent), (given, Path.cwd())):
        rename_old_keys(part, _OLD_KEYS, str(path))
        resolve_paths(part, ("model.start", "data.features", "data.videos", "data.train", "data.validation"), base)
    for key in ("train", "validation"):  # one path may stand without brackets
        for part in (tree, given):
            data = part.get("data")
            if isinstance(data, dict) and isinstance(data.get(key), str):
                data[key] = [data[key]]
    return checked(TrainRecipe, merged(tree, given), str(path))
