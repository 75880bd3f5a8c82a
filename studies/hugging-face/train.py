"""A small BERT that learns which of two letters is more frequent; five marked lines are tuner's."""

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from tuner.integrations.hugging_face import TunerCallback  # 1

LETTERS, LENGTH = 8, 16


def train(trial):
    params = trial.params
    callback = TunerCallback(trial)  # 2
    arguments = TrainingArguments(
        num_train_epochs=params["epochs"],
        learning_rate=params["learning_rate"],
        per_device_train_batch_size=32,
        disable_tqdm=True,
        **callback.arguments,  # 3: device, seed and folder
    )
    trainer = Trainer(
        model_init=lambda: build_model(params),
        args=arguments,
        train_dataset=make_data(seed=0, n_rows=512),
        eval_dataset=make_data(seed=1, n_rows=256),
        compute_metrics=accuracy,
        callbacks=[callback],  # 4
    )
    trainer.train(resume_from_checkpoint=callback.checkpoint)  # 5


def build_model(params):
    config = BertConfig(
        vocab_size=LETTERS,
        hidden_size=32,
        num_hidden_layers=params["n_layers"],
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=params["dropout"],
    )
    return BertForSequenceClassification(config)


def make_data(seed, n_rows):
    """Return rows of letters, and whether there are more zeros than ones in each."""
    letters = torch.randint(
        LETTERS, (n_rows, LENGTH), generator=torch.Generator().manual_seed(seed)
    )
    labels = ((letters == 0).sum(1) > (letters == 1).sum(1)).long()
    return [{"input_ids": row, "labels": label} for row, label in zip(letters, labels, strict=True)]


def accuracy(found):
    return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}
