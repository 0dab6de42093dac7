"""Where images come from, one file a dataset: a function (root, split) -> images uint8, labels int64."""

REGISTRY = {
    "digits": "opnorm.datasets.digits:digits",
}
